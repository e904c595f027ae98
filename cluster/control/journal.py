"""A file of JSON lines that only grows: what must hold at once, in every process, and after every restart.

Whoever appends holds a lock, and returns when the lines are on disk. A line counts once its end is there; what a crash
has torn is cut off by the next who appends. Readers ask the file system, by one `stat` a look, whether there is more.
"""

import fcntl
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from cluster.store.disk import fsync, make_folders, write_whole

log = logging.getLogger(__name__)

Entry = Mapping[str, Any]
T = TypeVar("T")


class Journal:
    """One file, which need not be there yet. Any number of processes may append to it."""

    def __init__(self, path: Path):
        self.path = path

    def append(self, entries: Iterable[Entry]) -> None:
        """Returns when all are on disk. Raises OSError; then they may hold or not, and are to be appended again."""
        lines = b"".join(json.dumps(each, separators=(",", ":")).encode() + b"\n" for each in entries)
        with self._locked() as file:
            _cut_off_torn_end(file)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
            fsync(self.path.parent)

    def rewrite(self, keep: Callable[[Entry], bool]) -> int:
        """Leave out the lines that are not to be kept; how many. Readers see the old file or the new one, whole."""
        if not self.path.exists():
            return 0
        with self._locked() as file:
            file.seek(0)
            lines = [line for line in file.read().splitlines(keepends=True) if line.endswith(b"\n")]
            kept = [line for line in lines if _stays(line, keep)]
            if len(kept) < len(lines):
                write_whole(self.path, b"".join(kept))
            return len(lines) - len(kept)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, which nobody else writes meanwhile and which has its name."""
        make_folders(self.path.parent)
        while True:
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self.path.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(self.path)):
                    yield file
                    return  # else it was written anew while we waited


class JournalReader(Generic[T]):
    """What came into a journal since the last look. Thread-safe."""

    def __init__(self, journal: Journal, read: Callable[[Entry], T]):
        """`read` makes of a line what is taken; a line of which it can make nothing is damaged, and left out alone."""
        self._path = journal.path
        self._of_line = read
        self._mark: tuple[int, int, int] | None = None
        self._inode = 0
        self._read = 0
        self._lock = threading.Lock()

    def look(self, take: Callable[[list[T], bool], None]) -> None:
        """Calls `take(entries, anew)` where there is something new; `anew`: the file is another one, from its begin.

        A file that cannot be read, or is gone, says nothing new: what was known holds.
        """
        try:
            found = os.stat(self._path)
        except OSError:
            return
        mark = (found.st_ino, found.st_size, found.st_mtime_ns)
        if mark == self._mark:  # nearly always
            return
        with self._lock:
            if mark == self._mark:
                return
            try:
                self._news(take)
            except OSError as error:
                log.error("%s cannot be read, what it said before holds: %s", self._path, error)
                return
            self._mark = mark

    def _news(self, take: Callable[[list[T], bool], None]) -> None:
        with self._path.open("rb") as file:
            now = os.fstat(file.fileno())
            anew = now.st_ino != self._inode or now.st_size < self._read
            start = 0 if anew else self._read
            file.seek(start)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        take(list(self._entries(whole)), anew)
        self._inode = now.st_ino
        self._read = start + len(whole)

    def _entries(self, lines: bytes) -> Iterator[T]:
        for line in lines.splitlines():
            try:
                entry = self._of_line(_entry(line))
            except (AttributeError, KeyError, TypeError, ValueError):
                log.error("%s: a line is damaged and counts for nothing: %r", self._path, line[:80])
                continue
            yield entry


def _stays(line: bytes, keep: Callable[[Entry], bool]) -> bool:
    """A damaged line stays: nobody can tell what it was."""
    try:
        return keep(_entry(line))
    except ValueError:
        return True


def ids_of(entry: Entry, order: str, kind: str) -> frozenset[Any]:
    """What a line names to an order, as {"remove": {"pins": [7]}} names pins. Raises TypeError for what are no ids."""
    ids = entry.get(order, {}).get(kind, [])
    if not isinstance(ids, list) or not all(isinstance(each, (int, str)) for each in ids):
        raise TypeError(f"{order}: {kind}: no list of ids")
    return frozenset(ids)


def _entry(line: bytes) -> Entry:
    """Raises ValueError for a damaged line."""
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError("no object")
    return entry


def _cut_off_torn_end(file: BinaryIO) -> None:
    if file.seek(0, os.SEEK_END) == 0:
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
