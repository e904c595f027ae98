"""The write-ahead file: frames with length and checksum, so that what was acknowledged is told from what was torn.

A file begins with a line that names its format. Each frame is 8 bytes (length and CRC-32 of the payload, little-endian
uint32) and a payload: the JSON array of one acknowledged batch. Knows nothing of events, Parquet or Ray.
"""

import fcntl
import json
import os
import struct
import time
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cluster.errors import ConfigError

MAGIC = b"pinfunnel write-ahead file 2\n"
HEAD = struct.Struct("<II")
SUFFIX = ".wal"
LOCK = "LOCK"

Row = dict[str, Any]


class WriteAheadFile:
    """One file, written by one process. Not thread-safe: its owner holds a lock."""

    def __init__(self, folder: Path):
        self.path = folder / f"events-{uuid.uuid4().hex}{SUFFIX}"
        self._file: BinaryIO | None = None
        self._end = 0  # everything before it is acknowledged

    def append(self, rows: Sequence[Row]) -> None:
        """Store a batch durably. Raises OSError when the disk refuses: then nothing of the batch is in the file.

        What a failed write left behind is cut off at once. Where even that fails, the file is given up: no later batch
        is glued to a torn one.
        """
        payload = json.dumps(rows).encode()
        frame = HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        if self._file is None:
            self._file = self.path.open("xb", buffering=0)
            frame = MAGIC + frame
        try:
            _write_all(self._file, frame)
            os.fsync(self._file.fileno())
        except OSError:
            self._cut()
            raise
        self._end += len(frame)

    @property
    def started(self) -> bool:
        """Whether there is a file on disk."""
        return self._file is not None

    @property
    def broken(self) -> bool:
        """Whether a torn write could not be cut off: the owner goes on in a new file."""
        return self._end < 0

    def close(self) -> None:
        """Let go of the file; what it holds stays."""
        if self._file is not None:
            self._file.close()

    def _cut(self) -> None:
        assert self._file is not None
        try:
            os.ftruncate(self._file.fileno(), self._end)
            self._file.seek(self._end)
            if self._end == 0:
                self.close()
                self.path.unlink()
                self._file = None
        except OSError:
            self._end = -1


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        written = file.write(view)
        if not written:
            raise OSError("the disk took no more bytes")
        view = view[written:]


@dataclass(frozen=True)
class Recovered:
    """What a file of an ended process held: its rows, and how many bytes at its end were never acknowledged."""

    rows: list[Row]
    torn: int


def recover(path: Path) -> Recovered:
    """The acknowledged rows of a write-ahead file, also one of version 0.1 (JSON lines)."""
    data = path.read_bytes()
    if path.suffix != SUFFIX:
        return _json_lines(data)
    if not data.startswith(MAGIC):
        return Recovered([], len(data))
    rows: list[Row] = []
    at = len(MAGIC)
    while at + HEAD.size <= len(data):
        length, checksum = HEAD.unpack_from(data, at)
        payload = data[at + HEAD.size : at + HEAD.size + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            break
        rows += json.loads(payload)
        at += HEAD.size + length
    return Recovered(rows, len(data) - at)


def _json_lines(data: bytes) -> Recovered:
    rows, torn = [], 0
    for line in data.split(b"\n"):
        try:
            row = json.loads(line) if line else None
        except ValueError:
            row = None
            torn += len(line)
        if isinstance(row, dict):
            rows.append(row)
    return Recovered(rows, torn)


class FolderLock:
    """The right to write below a folder, held by one process until it ends or lets go."""

    def __init__(self, folder: Path, patience: float = 0.0):
        """Takes the lock, for `patience` seconds if need be: a replica that is being replaced lets go late."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / LOCK).open("a+b")
        end = time.monotonic() + patience
        while not self._taken():
            if time.monotonic() < end:
                time.sleep(0.1)
                continue
            self._file.seek(0)
            holder = self._file.read(32).decode("ascii", "replace").strip()
            self._file.close()
            raise ConfigError(
                f"{folder}: another server writes this event log (process {holder or 'unknown'}): stop it, or give "
                "this project a `home` of its own in pinfunnel.yaml"
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()).encode())
        self._file.flush()

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Let another process have the folder."""
        self._file.close()
