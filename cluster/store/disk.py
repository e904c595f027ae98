"""What a local disk must be told so that a file, and the folders that lead to it, outlive a crash."""

import os
import shutil
import uuid
from pathlib import Path


def fsync(path: Path) -> None:
    """Returns when a file, or the names in a folder, are on disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folders(path: Path) -> None:
    """Make a folder and those above it that are missing; returns when their names are on disk. Raises OSError."""
    if path.is_dir():
        return
    make_folders(path.parent)
    path.mkdir(exist_ok=True)
    fsync(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """A file that readers see as it was or with all of `data`; returns when it is on disk. Raises OSError."""
    make_folders(path.parent)
    aside = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}.writing")
    try:
        aside.write_bytes(data)
        fsync(aside)
        os.replace(aside, path)
        fsync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def link_or_copy(path: Path, target: Path) -> None:
    """The same file under another name, without a copy where the disk can. Neither may be written in place then."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)
