"""The serving log and the event log at rest: Parquet by date (and client), written atomically, compacted, read safely.

Below `logs`: `serving/date=YYYY-MM-DD/client=X/part-*.parquet` and `events/date=YYYY-MM-DD/part-*.parquet`.
Files hold every column of their schema, so each can be read alone. Knows nothing of Ray, queues or labels.
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.data.files import UNREADABLE
from cluster.errors import DataError
from cluster.features.assemble import FeatureSet
from cluster.store.log_files import LogFiles as LogFiles
from cluster.store.log_parts import (
    EVENT_KEY,
    LogFile,
    MergedFiles,
    each_once,
    groups,
    is_whole,
    whole_parts,
    write_part,
)
from cluster.store.paths import LogPath, log_path, opened
from cluster.store.replaced import names_replaced, replaced_by
from cluster.store.upkeep import upkeep

SHARED_KEY = b"pinfunnel.shared_features"
CANDIDATE_KEY = b"pinfunnel.candidate_features"
HASH_KEY = b"pinfunnel.schema_hash"
ROW_GROUP_REQUESTS = 256
"""Requests a row group: a reader holds one group, about 10 MB of features with 500 candidates a request."""
EVENT_ROWS = 1 << 16
"""Events in a row group."""
PIECE_REQUESTS = 16
"""Requests in a row group where replicas write between answers: some 20 ms of one core."""


def feature_metadata(features: FeatureSet) -> dict[bytes, bytes]:
    """What a serving file's schema metadata says of its feature columns."""
    return {
        SHARED_KEY: json.dumps(features.shared).encode(),
        CANDIDATE_KEY: json.dumps(features.candidate).encode(),
        HASH_KEY: features.schema_hash.encode(),
    }


class LogStore:
    """Both logs. Safe for one writer per file name and any number of readers."""

    def __init__(self, root: str | Path, ids: str | None = None, beside: str | Path | None = None):
        """`root`: a folder, or the URI of an object store. What is no whole file lies in the folder `beside` then:
        write-ahead files, users' state, rows set aside, locks; by default all lie together.

        `ids` is the project's type of ids: files of the other one raise DataError; None takes any.
        """
        self.parts = log_path(root)
        self.root = Path(root if beside is None else beside)
        self._ids = ids

    def write_serving(
        self,
        table: pa.Table,
        features: FeatureSet | None = None,
        name: str | None = None,
        between: Callable[[], None] | None = None,
    ) -> list[LogPath]:
        """Append served requests (`cluster.data.schema.serving_schema`), one new file for each date and client in them.

        `features` names the feature columns; without it the table's schema metadata must. Raises DataError otherwise.
        Written again under the same `name`, rows replace those of before, file by file. `between` is called after every
        few requests, to rest for those that wait for an answer; compaction puts the small row groups together.
        """
        metadata = feature_metadata(features) if features else dict(table.schema.metadata or {})
        if not {SHARED_KEY, CANDIDATE_KEY, HASH_KEY} <= set(metadata):
            raise DataError("serving log: the table's metadata lacks the feature names: pass `features`")
        table = table.replace_schema_metadata(metadata)
        days = _days(table.column("requested_at"))
        clients = np.asarray(table.column("client").to_pylist(), dtype=object)
        written = []
        for day, client in sorted({*zip(days, clients, strict=True)}):
            rows = np.flatnonzero((days == day) & (clients == client))
            folder = self.parts / "serving" / f"date={day}" / f"client={client}"
            mine = table if len(rows) == len(table) else table.take(pa.array(rows))
            group = ROW_GROUP_REQUESTS if between is None else PIECE_REQUESTS
            written.append(write_part(mine, folder, group, name=name, between=between))
        return written

    def write_events(self, table: pa.Table, name: str | None = None) -> list[LogPath]:
        """Append events (`cluster.data.schema.event_schema`), one new file for each date of `occurred_at`.

        `name` as in `write_serving`.
        """
        days = _days(table.column("occurred_at"))
        written = []
        for day in sorted(set(days)):
            rows = table.take(pa.array(np.flatnonzero(days == day)))
            written.append(write_part(rows, self.parts / "events" / f"date={day}", EVENT_ROWS, name=name))
        return written

    def serving_files(
        self, client: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> LogFiles:
        """Parts of one client (default: all) whose date lies in [since, until]; the rows at the edges are not cut."""
        pattern = f"client={client or '*'}/*.parquet"
        return self._list(self.parts / "serving", pattern, since, until)

    def event_files(self, since: datetime | None = None, until: datetime | None = None) -> LogFiles:
        """Parts of the event log whose date lies in [since, until]."""
        return self._list(self.parts / "events", "*.parquet", since, until)

    def begun(self) -> bool:
        """Whether anything was ever logged, or set aside."""
        return self.root.is_dir() or bool(self.dates("serving") or self.dates("events"))

    def dates(self, log: str = "serving") -> list[str]:
        """Dates with files in `serving` or `events`, oldest first."""
        return sorted(p.name.removeprefix("date=") for p in (self.parts / log).glob("date=*"))

    def _list(self, root: LogPath, pattern: str, since: datetime | None, until: datetime | None) -> LogFiles:
        low, high = since and _day(since), until and _day(until)
        found: list[LogFile] = []
        broken: list[str] = []
        for folder in sorted(root.glob("date=*")):
            day = folder.name.removeprefix("date=")
            if (low and day < low) or (high and day > high):
                continue
            replaced: set[str] = set()
            here: list[LogFile] = []
            for path in sorted(p for p in folder.glob(pattern) if not p.name.startswith(".")):
                try:
                    footer = pq.read_metadata(opened(path))
                    notes = footer.metadata or {}
                    replaces = names_replaced(notes)
                    schema_hash = notes.get(HASH_KEY, b"").decode()
                except FileNotFoundError:  # compaction removed it since the listing
                    continue
                except UNREADABLE:
                    broken.append(str(path))
                    continue
                self._require_ids(path, footer)
                replaced |= {str(path.parent / name) for name in replaces}
                client = path.parent.name.removeprefix("client=") if path.parent != folder else ""
                here.append(LogFile(str(path), footer.num_rows, path.stat().st_size, day, client, schema_hash))
            found += [f for f in here if f.path not in replaced]
        return LogFiles(tuple(found), tuple(broken))

    def _require_ids(self, path: LogPath, footer: pq.FileMetaData) -> None:
        if self._ids is None or not footer.num_row_groups:
            return
        group = footer.row_group(0)  # not footer.schema: the two hold one another until a garbage collection
        columns = (group.column(at) for at in range(group.num_columns))
        physical = next((c.physical_type for c in columns if c.path_in_schema == "user_id"), None)
        if physical is None:
            return
        found = "int64" if physical == "INT64" else "string"
        if found != self._ids:
            raise DataError(
                f"{path} holds {found} ids and pinfunnel.yaml says `ids: {self._ids}`: move {self.parts} away to begin "
                f"new logs, or set `ids: {found}`"
            )

    def each_events(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[pa.Table]:
        """Events of a date range, file by file, oldest first. A damaged file is named in a warning, and left out."""
        yield from whole_parts(self.event_files(since, until).paths)

    def read_events(self, since: datetime | None = None, until: datetime | None = None) -> tuple[pa.Table, int]:
        """Events of a date range as one table, each once, and how many repeats were dropped."""
        return each_once(self.each_events(since, until), EVENT_KEY)

    def compact(
        self, day: str | date, small_bytes: int = 32 << 20, target_bytes: int = 256 << 20, grace_seconds: float = 3600.0
    ) -> dict[str, int]:
        """Merge the small files of one date, each id once. Returns how many were {"merged", "written", "removed"}.

        A merged file names those it replaces, so a crash at any point leaves each row once. The replaced files stay for
        `grace_seconds` for readers that listed them before, and go with a later call.
        """
        with upkeep(self.root):
            return self._compact(str(day), small_bytes, target_bytes, grace_seconds)

    def _compact(self, day: str, small_bytes: int, target_bytes: int, grace_seconds: float) -> dict[str, int]:
        done = {"merged": 0, "written": 0, "removed": 0}
        bounds = datetime.fromisoformat(day).replace(tzinfo=UTC)
        partitions: dict[LogPath, list[LogFile]] = {}
        for log in (self.serving_files(None, bounds, bounds), self.event_files(bounds, bounds)):
            for file in log.files:
                partitions.setdefault(log_path(file.path).parent, []).append(file)
        for folder, files in partitions.items():
            gone = [folder / n for n, since in replaced_by(folder).items() if time.time() - since >= grace_seconds]
            whole = [f for f in files if f.bytes < small_bytes and is_whole(f.path)]  # a damaged one stays as it is
            for group in groups(whole, target_bytes):
                write_part(MergedFiles(group), folder, ROW_GROUP_REQUESTS if group[0].client else EVENT_ROWS, "compact")
                done["merged"] += len(group)
                done["written"] += 1
            for path in (path for path in gone if path.exists()):
                path.unlink()
                done["removed"] += 1
        return done


def _day(moment: datetime) -> str:
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).strftime("%Y-%m-%d")


def _days(moments: pa.ChunkedArray) -> np.ndarray:
    if moments.null_count:
        raise DataError("log: a row has no time: requested_at and occurred_at may not be null")
    return np.asarray(pc.strftime(moments, format="%Y-%m-%d").to_pylist(), dtype=object)
