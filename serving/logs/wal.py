"""The write-ahead file: frames with length and checksum, so that what was acknowledged is told from what was torn.

A file begins with a line that names its format. Each frame is 8 bytes (length and CRC-32 of the payload, little-endian
uint32) and a payload: the JSON array of one acknowledged batch. Knows nothing of events, Parquet or Ray.
"""

import json
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cluster.store.disk import fsync
from cluster.store.log_parts import new_name
from serving.logs.owned_folder import same_file

MAGIC = b"pinfunnel write-ahead file 2\n"
HEAD = struct.Struct("<II")
PREFIX = "events-"
SUFFIX = ".wal"

Row = dict[str, Any]


class WriteAheadFile:
    """One file, written by one process. Not thread-safe: its owner holds a lock.

    After a failure it takes nothing more: the kernel may have dropped what it could not write, and would not say so at
    the next sync.
    """

    def __init__(self, folder: Path):
        self.path = folder / f"{PREFIX}{new_name()}{SUFFIX}"
        self.broken = False
        self._file: BinaryIO | None = None
        self._end = 0  # everything before it is acknowledged

    def append(self, payloads: Sequence[bytes]) -> None:
        """Store batches durably, in a file that has its name. Raises OSError when that fails: then none is in it."""
        frames = b"".join(HEAD.pack(len(each), zlib.crc32(each)) + each for each in payloads)
        new = self._file is None
        try:
            if self._file is None:
                self._file = self.path.open("xb", buffering=0)
                frames = MAGIC + frames
            _write_all(self._file, frames)
            os.fdatasync(self._file.fileno())
            if new:
                fsync(self.path.parent)
            if self.lost:
                raise OSError(f"{self.path} was removed or moved while it was written")
        except OSError:
            self._give_up()
            raise
        self._end += len(frames)

    @property
    def lost(self) -> bool:
        """Whether somebody has removed or moved the file, so that no next start would find it."""
        return self._file is not None and not same_file(self._file.fileno(), self.path)

    def close(self) -> None:
        """Let go of the file; what it holds stays."""
        if self._file is not None:
            self._file.close()

    def _give_up(self) -> None:
        """Cut off what a failed write has left. Where that fails too, the checksum tells it apart."""
        self.broken = True
        if self._file is None:
            return
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), self._end)
            if self._end == 0:
                self.path.unlink(missing_ok=True)


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


def name_of(path: Path) -> str:
    """A write-ahead file's name without what all of them have in common: its Parquet is named after it."""
    return path.stem.removeprefix(PREFIX)


def left_behind(folder: Path) -> list[Path]:
    """The write-ahead files in a folder, in the order they were begun; also those of version 0.1."""
    return sorted([*folder.glob(f"{PREFIX}*{SUFFIX}"), *folder.glob(f"{PREFIX}*.jsonl")])


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
