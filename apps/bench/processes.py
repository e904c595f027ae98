"""Memory and CPU time of a process with everything below it, from /proc (Linux). Knows nothing of what runs there."""

import os
from pathlib import Path


def tree_memory(root: int) -> int:
    """Anonymous bytes of a process tree; pages of mapped files, shared or not, are not counted."""
    parents, sizes = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "status").read_text()
            except OSError:
                continue
            facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            parents[int(entry.name)] = int(facts["PPid"])
            sizes[int(entry.name)] = int(facts.get("RssAnon", "0 kB").split()[0]) * 1024
    return sum(sizes.get(pid, 0) for pid in _below(root, parents))


def tree_cpu(root: int) -> float:
    """User and system seconds of a process tree; of processes that ended, none."""
    parents, ticks = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(entry.name)], ticks[int(entry.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    return sum(ticks.get(pid, 0) for pid in _below(root, parents)) / os.sysconf("SC_CLK_TCK")


def _below(root: int, parents: dict[int, int]) -> set[int]:
    found, size = {root}, 0
    while len(found) > size:
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found
