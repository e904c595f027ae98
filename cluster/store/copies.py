"""Local copies of what lies in an object store, within a number of bytes: what is least recently used goes first.

A copy that a process of this machine uses stays: the process has a lock on its folder, which ends with it. Processes
share copies; each fetches aside and gives its copy the name whole.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from cluster.store.backend import ASIDE

log = logging.getLogger(__name__)

DEAD = 86_400.0
"""Seconds after which what lies aside belongs to a process that has died."""
HELD = 4
"""Copies of one kind that a process uses: the newest that it asked for, as requests under way have an older version."""


class Copies:
    """The copies below one local folder. Thread-safe."""

    _held: dict[Path, int] = {}  # of this process: the lock on each folder, oldest first
    _lock = threading.Lock()

    def __init__(self, folder: Path, most: int):
        """`most`: bytes of all copies together, but for those in use."""
        self._folder = folder.absolute()
        self._most = most

    def new_folder(self) -> Path:
        """An empty one to fill, on the disk of the copies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=ASIDE, dir=self._folder))

    def path(self, name: str) -> Path:
        """Where the copy of a stored folder lies, or will."""
        return self._folder / quote(name, safe="")

    def file(self, name: str) -> Path | None:
        """The path of a stored file within a copy; None where no copy has it or should."""
        for parent in PurePosixPath(name).parents:
            if (copy := self.path(str(parent))).is_dir():
                return copy / PurePosixPath(name).relative_to(parent)
        return None

    def use(self, name: str) -> Path | None:
        """The copy, which stays while this process uses it; None when there is none."""
        path = self.path(name)
        with self._lock:
            while True:
                try:
                    handle = os.open(path, os.O_RDONLY)
                except FileNotFoundError:
                    return None
                fcntl.flock(handle, fcntl.LOCK_SH)
                try:
                    if os.path.samestat(os.fstat(handle), os.stat(path)):
                        break
                except FileNotFoundError:  # it went while we waited
                    pass
                os.close(handle)
            os.utime(path)
            self._hold(path, handle)
        return path

    def _hold(self, path: Path, handle: int) -> None:
        if (before := self._held.pop(path, None)) is not None:
            os.close(before)
        self._held[path] = handle
        kind = path.name.rpartition("%2F")[0]
        alike = [each for each in self._held if each.parent == path.parent and each.name.rpartition("%2F")[0] == kind]
        for each in alike[:-HELD]:
            os.close(self._held.pop(each))

    def take(self, folder: Path, name: str) -> None:
        """Give a filled folder its name; where another process was first, its copy stays."""
        try:
            os.rename(folder, self.path(name))
        except OSError:
            if not self.path(name).is_dir():
                raise

    def drop(self, name: str) -> None:
        """Remove the copy of a folder, used or not, or of one file in it."""
        if (file := self.file(name)) is not None:
            file.unlink(missing_ok=True)
        if self.path(name).is_dir():
            shutil.rmtree(self.path(name))

    def make_room(self, needed: int) -> None:
        """Remove unused copies, until another of `needed` bytes fits; what is in use may leave no room."""
        sizes: dict[Path, int] = {}
        used: dict[Path, float] = {}
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                used[path] = path.stat().st_mtime
                sizes[path] = _bytes(path)
        for path in [path for path in used if path.name.startswith(".")]:
            if time.time() - used.pop(path) > DEAD:
                shutil.rmtree(path, ignore_errors=True)
                sizes.pop(path, None)
        total = sum(sizes.values())
        for path in sorted(used, key=lambda path: used[path]):
            if total + needed <= self._most:
                return
            if self._removed(path):
                total -= sizes.get(path, 0)
        if total + needed > self._most:
            log.warning("%s: %d bytes in use and %d to come are more than %d", self._folder, total, needed, self._most)

    def _removed(self, path: Path) -> bool:
        """Whether nobody used it."""
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            going = Path(tempfile.mkdtemp(prefix=ASIDE, dir=self._folder))
            os.rename(path, going)
            shutil.rmtree(going, ignore_errors=True)
        except OSError:  # in use, or gone
            return False
        finally:
            os.close(handle)
        return True


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total
