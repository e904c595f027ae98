"""The processes below one, from /proc (Linux). Knows nothing of what runs there."""

from pathlib import Path


def parents() -> dict[int, int]:
    """Every process's parent, by number."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):  # it has just ended
                continue
    return found


def below(root: int) -> list[int]:
    """The processes that `root` has started, and those that they have; parents before their children."""
    known = parents()
    found = [root]
    for parent in found:
        found += [pid for pid, its in known.items() if its == parent]
    return found[1:]


def marked(name: str, value: str) -> list[int]:
    """Processes whose environment began with this variable: also those whose parent has died, which `below` loses."""
    wanted = f"{name}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:  # it has ended, or is somebody else's
                continue
            if wanted in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def name_of(pid: int) -> str:
    """Its command line; empty for one that has ended."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
