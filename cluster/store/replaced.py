"""Which files of a folder of the logs a merged one stands for, by its footer."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.data.files import UNREADABLE
from cluster.store.paths import LogPath, opened

REPLACES_KEY = b"pinfunnel.replaces"
"""Footer entry of a merged file: the names of the files that it stands for."""


def replaced_by(folder: LogPath) -> dict[str, float]:
    """Names in `folder` that a merged file stands for, and since when (seconds since the epoch)."""
    since: dict[str, float] = {}
    for path in folder.glob("compact-*.parquet"):
        try:
            names = names_in(path)
        except UNREADABLE:
            continue
        since |= {name: min(since.get(name, path.stat().st_mtime), path.stat().st_mtime) for name in names}
    return since


def names_in(path: str | LogPath) -> list[str]:
    """As `names_replaced`, of a file."""
    return names_replaced(pq.read_metadata(opened(path)).metadata or {})


def names_replaced(notes: dict[bytes, bytes]) -> list[str]:
    """Names of the files beside it that a merged file stands for, by its metadata. Raises ArrowInvalid without.

    Files of these names are removed in the end, so none may lead out of the folder.
    """
    try:
        names = json.loads(notes.get(REPLACES_KEY, b"[]"))
        if isinstance(names, list) and all(Path(name).name == name != ".." for name in names):
            return names
    except (ValueError, TypeError):
        pass
    raise pa.ArrowInvalid("the metadata does not name the files that it replaces")
