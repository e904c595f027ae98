"""What a local disk must be told so that a file outlives a crash."""

import os
from pathlib import Path


def fsync(path: Path) -> None:
    """Returns when a file, or the names in a folder, are on disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
