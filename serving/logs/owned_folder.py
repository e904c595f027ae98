"""A folder that one process writes: under a lock, and made anew when somebody has taken it away meanwhile."""

import fcntl
import os
import time
from pathlib import Path
from typing import BinaryIO

from cluster.errors import ConfigError
from cluster.store.disk import make_folders

LOCK = "LOCK"


class OwnedFolder:
    """The right to write below a folder, held by one process until it ends or lets go. For one thread at a time."""

    def __init__(self, path: Path, below: Path | None = None, patience: float = 0.0):
        """Takes the lock, for `patience` seconds if need be: a replica that is being replaced lets go late.

        The folder is made anew only while `below` (default: its parent) is there: what is above may be a volume that is
        not mounted. Raises ConfigError when another process holds the lock.
        """
        self.path = path
        self._below = below or path.parent
        make_folders(path)
        end = time.monotonic() + patience
        while (lock := _taken(path)) is None:
            if time.monotonic() >= end:
                raise ConfigError(
                    f"{path}: another server writes this event log (process {_holder(path)}): stop it, or give this "
                    "project a `home` of its own in pinfunnel.yaml"
                )
            time.sleep(0.1)
        self._lock = lock
        self._disk = os.stat(self._below).st_dev

    def hold(self) -> bool:
        """Whether the folder of that name is the one that was locked; else it is made anew and locked.

        Raises OSError when it cannot be, and says why: nothing may be written then.
        """
        if same_file(self._lock.fileno(), self.path / LOCK):
            return True
        if not self._below.is_dir():
            raise OSError(f"{self._below} is gone: is its volume mounted?")
        if os.stat(self._below).st_dev != self._disk:
            raise OSError(f"{self._below} is on another disk than at the start: is its volume mounted?")
        make_folders(self.path)
        lock = _taken(self.path)
        if lock is None:
            raise OSError(f"{self.path}: process {_holder(self.path)} has taken it over")
        self._lock.close()
        self._lock = lock
        return False

    def release(self) -> None:
        """Let another process have the folder."""
        self._lock.close()


def same_file(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        named = os.stat(path)
    except OSError:
        return False
    return os.path.samestat(os.fstat(handle), named)


def _taken(folder: Path) -> BinaryIO | None:
    lock = (folder / LOCK).open("a+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())
    lock.flush()
    return lock


def _holder(folder: Path) -> str:
    return (folder / LOCK).read_bytes()[:32].decode("ascii", "replace").strip() or "unknown"
