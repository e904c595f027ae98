"""Memory and CPU time of a process with everything below it, from /proc (Linux). Knows nothing of what runs there."""

import os
from pathlib import Path

from cluster.processes import below


def tree_memory(root: int) -> int:
    """Anonymous bytes of a process tree; pages of mapped files, shared or not, are not counted."""
    total = 0
    for pid in (root, *below(root)):
        try:
            status = (Path("/proc") / str(pid) / "status").read_text()
        except OSError:
            continue
        facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        total += int(facts.get("RssAnon", "0 kB").split()[0]) * 1024
    return total


def tree_cpu(root: int) -> float:
    """User and system seconds of a process tree; of processes that ended, none."""
    ticks = 0
    for pid in (root, *below(root)):
        try:
            fields = (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def mapped_memory(folder: str) -> float:
    """PSS of what this process has mapped of a folder's files, MB."""
    total = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            inside = f" {folder}/" in line
        elif inside and first == "Pss:":
            total += int(line.split()[1])
    return total * 1024 / 1e6
