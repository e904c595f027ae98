"""Takes out of the logs' files what is to be forgotten. Each file is replaced by one of its name, whole.

So it may be killed at any moment and run again. Whoever writes files meanwhile looks once more when they are written.
"""

import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.contract.ids import Id
from cluster.control.forgotten import Forgotten
from cluster.data.files import UNREADABLE
from cluster.store.disk import write_whole
from cluster.store.log_parts import read_part, write_part
from cluster.store.logs import EVENT_ROWS, ROW_GROUP_REQUESTS
from cluster.store.paths import LogPath, opened

log = logging.getLogger(__name__)

MOMENTS = {"serving": "requested_at", "events": "received_at"}
"""What tells how old a row of each log is."""
DEAD = 60.0
"""Seconds after which a file that was being written and is not touched any more belongs to a process that has died."""


@dataclass
class Swept:
    """What was done."""

    rows: int = 0
    files: int = 0
    unreadable: list[str] = field(default_factory=list)  # damaged: what they hold cannot be told

    def __add__(self, other: "Swept") -> "Swept":
        return Swept(self.rows + other.rows, self.files + other.files, [*self.unreadable, *other.unreadable])


def sweep_logs(root: Path, forgotten: Forgotten, parts: LogPath | None = None) -> Swept:
    """All Parquet files of both logs below `parts` (default: `root`), those that merged ones have replaced too, and the
    quarantine below `root`. Whoever calls it has the upkeep of the logs (cluster/store/upkeep.py).
    """
    done = Swept()
    for name in MOMENTS:
        folder = (parts or root) / name
        _remove_dead(folder)
        done += sweep_files(sorted(folder.rglob("*.parquet")), forgotten)
    done.rows += _sweep_quarantine(root / "quarantine", forgotten)
    return done


def sweep_files(paths: Iterable[LogPath], forgotten: Forgotten) -> Swept:
    """The same for some files of the logs."""
    done = Swept()
    for path in paths:
        name = "serving" if path.parent.name.startswith("client=") else "events"
        try:
            keys = pq.ParquetFile(opened(path)).read(["user_id", MOMENTS[name]])
            stays = forgotten.keeps(keys["user_id"], keys[MOMENTS[name]])
            if stays.all():
                continue
            table = read_part(path)
        except FileNotFoundError:  # replaced since the listing
            continue
        except (*UNREADABLE, KeyError) as error:
            log.warning("%s cannot be read, and so not be searched: %s", path, str(error).splitlines()[0])
            done.unreadable.append(str(path))
            continue
        replace_part(path, table.filter(pa.array(stays)))
        done.files += 1
        done.rows += int((~stays).sum())
    return done


@contextmanager
def swept_behind(forgotten: Forgotten | None) -> Iterator[list[LogPath]]:
    """Around the writing of files, which the body adds: swept again where somebody was forgotten while it wrote."""
    before = 0 if forgotten is None else forgotten.changes()
    written: list[LogPath] = []
    yield written
    if forgotten is not None and forgotten.changes() != before:
        sweep_files(written, forgotten)


def replace_part(path: LogPath, rest: pa.Table) -> None:
    """The file with other rows. A merged one, even if empty, goes on standing for those that its footer names."""
    prefix, name = path.stem.split("-", 1)
    if not len(rest) and prefix != "compact":
        path.unlink()
        return
    group = ROW_GROUP_REQUESTS if path.parent.name.startswith("client=") else EVENT_ROWS
    write_part(rest, path.parent, group, prefix, name)


def users_in(value: Any) -> Iterator[Id]:
    """All that a row of any form calls `user_id`, also as JSON in a text."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "user_id" and isinstance(each, (int, str)):
                yield each
            else:
                yield from users_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from users_in(each)
    elif isinstance(value, str) and "user_id" in value:
        try:
            yield from users_in(json.loads(value))
        except ValueError:
            return


def _sweep_quarantine(folder: Path, forgotten: Forgotten) -> int:
    """Rows set aside go whole, however old: nobody will store them."""
    removed = 0
    for path in sorted(folder.glob("*.jsonl")):
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not any(forgotten.before(user) for user in _named(line))]
        if len(kept) == len(lines):
            continue
        if kept:
            write_whole(path, b"".join(kept))
        else:
            path.unlink()
        removed += len(lines) - len(kept)
    return removed


def users_in_lines(data: bytes) -> set[Id]:
    """All users that the JSON lines of a file name."""
    return {user for line in data.splitlines() for user in _named(line)}


def _named(line: bytes) -> Iterator[Id]:
    try:
        yield from users_in(json.loads(line))
    except ValueError:
        return


def _remove_dead(folder: LogPath) -> None:
    """Files that a process was writing when it died have rows of anybody, and no reader."""
    for path in folder.rglob(".*.writing"):
        try:
            if time.time() - path.stat().st_mtime > DEAD:
                path.unlink()
        except FileNotFoundError:
            continue


def rows_that_stay(rows: list[dict[str, Any]], forgotten: Forgotten | None, moment: str) -> list[dict[str, Any]]:
    """Rows that are about to be written, without those to be forgotten; `moment` names what tells their age."""
    if forgotten is None or not forgotten.changes():
        return rows
    stays = np.array([at_us(row.get(moment)) >= forgotten.before(row["user_id"]) for row in rows], bool)
    return [row for row, stay in zip(rows, stays.tolist(), strict=True) if stay]


def at_us(moment: Any) -> int:
    """A moment, or its ISO text, in microseconds; one that there is not is older than all."""
    if moment is None:
        return -1
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return round(parsed.timestamp() * 1e6)
