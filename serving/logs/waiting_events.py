"""Acknowledged events that are not in Parquet yet: on disk in write-ahead files, and packed in memory. Thread-safe."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from serving.logs.owned_folder import OwnedFolder
from serving.logs.wal import Row, WriteAheadFile

log = logging.getLogger(__name__)

FILE_EVENTS = 50_000
"""A file that holds so many takes no more: as many are unpacked at a time on their way to Parquet."""


@dataclass(frozen=True)
class Packed:
    """The JSON array of some rows, and how many they are."""

    payload: bytes
    rows: int
    loads: Callable[[bytes], list[Row]] = orjson.loads

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Packed":
        """Rows that the contract of events has checked."""
        return cls(orjson.dumps(rows), len(rows))

    @classmethod
    def as_found(cls, rows: Sequence[Row]) -> "Packed":
        """Rows of an older version, whose texts and numbers may be such that only Python's own JSON has them."""
        return cls(json.dumps(rows).encode(), len(rows), json.loads)


@dataclass(eq=False)
class Sealed:
    """A write-ahead file and the batches in it."""

    path: Path
    batches: list[Packed] = field(default_factory=list)
    events: int = 0
    bytes: int = 0
    since: float = 0.0  # when the first of them came, on the monotonic clock

    def add(self, batches: Sequence[Packed]) -> None:
        """Batches that are in the file now."""
        if not self.batches:
            self.since = time.monotonic()
        self.batches += batches
        self.events += sum(batch.rows for batch in batches)
        self.bytes += sum(len(batch.payload) for batch in batches)

    def rows(self) -> Iterator[Row]:
        """One after the other, in the order they were acknowledged."""
        for batch in self.batches:
            yield from batch.loads(batch.payload)


class WaitingEvents:
    """The files of one folder. What is appended goes into the newest of them."""

    def __init__(self, folder: OwnedFolder):
        self._folder = folder
        self._lock = threading.Lock()
        self._file = WriteAheadFile(folder.path)
        self._present = Sealed(self._file.path)
        self._sealed: list[Sealed] = []
        self._in_doubt = False  # whether a file with events may have lost its name

    def __len__(self) -> int:
        return self._present.events + sum(each.events for each in list(self._sealed))

    @property
    def bytes(self) -> int:
        """Of all that waits, packed."""
        return self._present.bytes + sum(each.bytes for each in list(self._sealed))

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest has waited; 0 when nothing does."""
        since = [each.since for each in [*self._sealed, self._present] if each.events]
        return time.monotonic() - min(since) if since else 0.0

    def take_over(self, path: Path, rows: Sequence[Row]) -> None:
        """A file of an ended process, with what was recovered from it."""
        sealed = Sealed(path)
        sealed.add([Packed.as_found(rows)] if rows else [])
        self._sealed.append(sealed)

    def append(self, batches: Sequence[Packed]) -> None:
        """Store batches durably, with one sync. Raises OSError when the disk refuses: then none is stored."""
        with self._lock:
            if not self._folder.hold() or self._file.lost or self._in_doubt:
                self._rescue()
            self._write(batches)
            if self._present.events >= FILE_EVENTS:
                self._seal()

    def _write(self, batches: Sequence[Packed]) -> None:
        try:
            self._file.append([batch.payload for batch in batches])
        except OSError:
            self._seal()
            self._in_doubt = True
            raise
        self._present.add(batches)

    def _rescue(self) -> None:
        """What was acknowledged into files that are gone goes into a new one, before anything else is taken."""
        self._in_doubt = True
        self._seal()
        lost = [each for each in self._sealed if not each.path.exists()]
        batches = [batch for each in lost for batch in each.batches]
        if batches:
            log.warning(
                "write-ahead files of %d acknowledged events are gone: written anew", sum(each.events for each in lost)
            )
            self._write(batches)
            self._sealed = [each for each in self._sealed if each not in lost]
        self._in_doubt = False

    def _seal(self) -> None:
        if self._present.batches:
            self._sealed.append(self._present)
        self._file.close()
        self._file = WriteAheadFile(self._folder.path)
        self._present = Sealed(self._file.path)

    def sealed(self) -> list[Sealed]:
        """All files, oldest first; none of them takes more events from now on.

        Raises OSError when their folder is gone and cannot be made anew: where it was, nothing may be written.
        """
        with self._lock:
            if self._present.batches:
                self._seal()
            if self._sealed and not self._folder.hold():
                self._in_doubt = True
            return list(self._sealed)

    def done(self, sealed: Sealed) -> None:
        """What a file held is durable elsewhere: it is removed."""
        with self._lock:
            if sealed in self._sealed:  # else it was rescued meanwhile
                self._sealed.remove(sealed)
        try:
            sealed.path.unlink(missing_ok=True)
        except OSError as error:  # stored again under the same name at the next start
            log.warning("%s could not be removed: %s", sealed.path, error)

    def close(self) -> None:
        """Let go of the file; what it holds stays."""
        self._file.close()
