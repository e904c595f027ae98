"""Served requests joined with what people did: one row a request, an n x A action matrix beside its candidates.

Ray Data reads the serving log and joins. One row a request instead of one a candidate makes the join some 500 times
smaller. Events that fit in memory are sent to every reader; more of them go through `Dataset.join` (a hash shuffle).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.config import Project
from cluster.errors import DataError
from cluster.features import FeatureSet
from cluster.log_parts import first_of_each
from cluster.logs import LogFiles, LogStore
from cluster.schema import stable_hash
from training.attribution import EventCounts, action_matrix, as_datetime64, count_events, group_events

BROADCAST_BYTES = 256 << 20
"""Event files beyond this are joined by a shuffle: each reader would hold a copy otherwise."""


@dataclass(frozen=True)
class RequestIndex:
    """Id, client and time of every logged request that training may use, without its candidates."""

    files: LogFiles
    request_id: pa.Array
    client: np.ndarray  # object[R]
    requested_at: np.ndarray  # datetime64[us][R]
    repeated: int  # requests logged more than once; the first file wins
    home: dict[str, str] = field(repr=False)  # path that counts, of the repeated ones only

    def times(self, client: str) -> np.ndarray:
        """datetime64[us] of one client's requests."""
        return self.requested_at[self.client == client]


@dataclass(frozen=True)
class Window:
    """Requests in [since, until) of datetime64[us]; None is open. `share` keeps so much of them, by hash of the id."""

    since: np.datetime64 | None = None
    until: np.datetime64 | None = None
    share: float = 1.0


@dataclass(frozen=True)
class Joined:
    """The joined log of a project: `requests(...)` makes the Ray Dataset."""

    project: Project
    index: RequestIndex
    counts: EventCounts | None  # None when the events went through a shuffle
    notes: tuple[str, ...]
    _events: Any = field(repr=False)  # ObjectRef of grouped events, or their files

    def requests(self, columns: Sequence[str], windows: dict[str, Window]) -> Any:
        """Ray Dataset of requests of the clients in `windows`, with `columns` of the serving log and `actions`.

        `actions` is list<float32>, n*A row after row, A in the order of `project.actions`.
        """
        import ray.data

        paths = [f.path for f in self.index.files.files if f.client in windows and _overlaps(f.date, windows[f.client])]
        if not paths:
            raise DataError(f"the serving log has no requests of {', '.join(sorted(windows))} in the time asked for")
        wanted = list(dict.fromkeys(["request_id", "client", "requested_at", "pin_id", *columns]))
        dataset = ray.data.read_parquet(paths, columns=wanted, partitioning=None, include_paths=True)
        dataset = dataset.map_batches(
            Cut(windows, self.index.home), batch_format="pyarrow", batch_size=None, zero_copy_batch=True
        )
        attach = Attach(self.project.actions, timedelta(hours=self.project.attribution_hours))
        if not isinstance(self._events, LogFiles):
            return dataset.map_batches(
                attach.broadcast, fn_args=(self._events,), batch_format="pyarrow", batch_size=None, zero_copy_batch=True
            )
        parts = self.project.graph.partitions
        events = ray.data.read_parquet(self._events.paths, partitioning=None)
        grouped = events.groupby("request_id", num_partitions=parts).map_groups(attach.group, batch_format="pyarrow")
        joined = dataset.join(grouped, join_type="left_outer", num_partitions=parts, on=("request_id",))
        return joined.map_batches(attach.rows, batch_format="pyarrow", batch_size=None)


def join_logs(
    project: Project,
    logs: LogStore,
    clients: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    broadcast_bytes: int = BROADCAST_BYTES,
) -> Joined:
    """Read what training needs to know of the logs before it touches a candidate: ids, times, events.

    Raises DataError when a client has no requests or its log was made for other features than the project's.
    """
    import ray

    files = logs.serving_files(None, since, until)
    files = LogFiles(tuple(f for f in files.files if f.client in clients), files.unreadable)
    present = FeatureSet.of(project.features).schema_hash
    stale = [f for f in files.files if f.schema_hash != present]
    files = LogFiles(tuple(f for f in files.files if f.schema_hash == present), files.unreadable)
    missing = sorted(set(clients) - {f.client for f in files.files})
    if missing:
        why = " made with the present features (pinfunnel.yaml changed since?)" if stale else ""
        raise DataError(f"client {missing[0]}: no logged requests{why}: serve, simulate or backfill first")
    index = read_index(files, since, until)
    notes = [files.report()]
    if stale:
        notes.append(f"{len(stale)} serving log file(s) of another feature schema left out")
    if index.repeated:
        notes.append(f"{index.repeated} request(s) logged twice, used once")
    window = timedelta(hours=project.attribution_hours)
    first, last = (m.astype(datetime) for m in (index.requested_at.min(), index.requested_at.max()))
    event_files = logs.event_files(first - timedelta(minutes=5), last + window)
    notes.append(event_files.report())
    if sum(f.bytes for f in event_files.files) > broadcast_bytes:
        return Joined(project, index, None, tuple(n for n in notes if n), event_files)
    events, repeated = logs.read_events(first - timedelta(minutes=5), last + window)
    if not events.num_rows:
        raise DataError("the event log is empty for the time of these requests: nothing to learn from yet")
    counts = count_events(events, repeated, index.request_id, index.requested_at, window, project.actions)
    grouped = ray.put(group_events(events, project.actions))
    return Joined(project, index, counts, tuple(n for n in notes if n), grouped)


def read_index(files: LogFiles, since: datetime | None, until: datetime | None) -> RequestIndex:
    """Ids, clients and times of all requests of `files` within [since, until)."""
    parts, paths = [], []
    for file in files.files:
        part = pq.read_table(file.path, columns=["request_id", "client", "requested_at"], partitioning=None)
        parts.append(part)
        paths += [file.path] * part.num_rows
    table = pa.concat_tables(parts)
    at = as_datetime64(table.column("requested_at"))
    low, high = _edges(Window(_moment(since), _moment(until)))
    ids = pd.Series(table.column("request_id").to_pylist(), dtype=object)
    again = ids.duplicated().to_numpy()
    home: dict[str, str] = {}
    if again.any():
        for i in np.flatnonzero(ids.duplicated(keep=False).to_numpy()):
            home.setdefault(ids[i], paths[i])
    keep = ~again & (at >= low) & (at < high)
    if not keep.any():
        raise DataError("the serving log has no requests in the time asked for")
    client = np.asarray(table.column("client").to_pylist(), dtype=object)[keep]
    kept_ids = pa.array(ids[keep], pa.string())
    return RequestIndex(files, kept_ids, client, at[keep], int(again.sum()), home)


@dataclass(frozen=True)
class Cut:
    """Keeps the rows of the windows, each request once."""

    windows: dict[str, Window]
    home: dict[str, str]

    def __call__(self, table: pa.Table) -> pa.Table:
        table = first_of_each(table, "request_id")
        at = as_datetime64(table.column("requested_at"))
        client = table.column("client").to_pylist()
        keep = np.zeros(table.num_rows, bool)
        for name, window in self.windows.items():
            low, high = _edges(window)
            mine = np.array([c == name for c in client], bool) & (at >= low) & (at < high)
            keep |= mine if window.share >= 1 else mine & (_draw(table.column("request_id")) < window.share)
        if self.home:
            where = zip(table.column("request_id").to_pylist(), table.column("path").to_pylist(), strict=True)
            keep &= np.array([self.home.get(i, path) == path for i, path in where], bool)
        table = table.drop_columns(["path"])
        return table if keep.all() else table.filter(pa.array(keep))


def _draw(ids: pa.ChunkedArray) -> np.ndarray:
    """A uniform number of [0, 1) for each request id; independent of the hash that samples candidates."""
    salted = np.array([f"window {i}" for i in ids.to_pylist()], dtype=object)
    mixed = stable_hash(salted) * np.uint64(0x9E3779B97F4A7C15)  # FNV's high bits vary too little between like ids
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


@dataclass(frozen=True)
class Attach:
    actions: tuple[str, ...]
    window: timedelta

    def broadcast(self, table: pa.Table, shared: Any) -> pa.Table:
        """Rows with their `actions`, from all grouped events (a reference to them: one copy a node)."""
        import ray

        return self.attach(table, ray.get(shared))

    def attach(self, table: pa.Table, events: pa.Table) -> pa.Table:
        """As `broadcast`, with the table itself."""
        ids = table.column("request_id").combine_chunks()
        at = pc.index_in(ids, value_set=events.column("request_id").combine_chunks())
        for name in ("event_pin", "event_action", "event_at"):
            table = table.append_column(name, events.column(name).combine_chunks().take(at))
        return self.rows(table)

    def group(self, events: pa.Table) -> pa.Table:
        """Shuffle path: the events of one request as one row."""
        return group_events(events, self.actions)

    def rows(self, table: pa.Table) -> pa.Table:
        """Replaces the event lists by the action matrix."""
        asked = as_datetime64(table.column("requested_at"))
        pins = table.column("pin_id").combine_chunks()
        event_pin, action, at = (table.column(n).combine_chunks() for n in ("event_pin", "event_action", "event_at"))
        found = event_pin.is_valid().to_numpy(zero_copy_only=False)
        width = len(self.actions)
        lengths = pc.list_value_length(pins).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        offsets = np.append(0, np.cumsum(lengths * width))
        flat = np.zeros(int(offsets[-1]), np.float32)
        for i in np.flatnonzero(found):
            matrix = action_matrix(
                pins[i].values, event_pin[i].values, action[i].values.to_pylist(),
                as_datetime64(at[i].values), asked[i], self.window, self.actions,
            )  # fmt: skip
            flat[offsets[i] : offsets[i + 1]] = matrix.ravel()
        table = table.drop_columns(["event_pin", "event_action", "event_at"])
        return table.append_column("actions", pa.LargeListArray.from_arrays(offsets, flat))


def _edges(window: Window) -> tuple[np.datetime64, np.datetime64]:
    low = window.since if window.since is not None else np.datetime64("1678-01-01", "us")
    high = window.until if window.until is not None else np.datetime64("2262-01-01", "us")
    return low, high


def _overlaps(day: str, window: Window) -> bool:
    low, high = _edges(window)
    return bool(np.datetime64(day, "D") >= low.astype("datetime64[D]") and np.datetime64(day, "D") <= high)


def _moment(at: datetime | None) -> np.datetime64 | None:
    if at is None:
        return None
    return np.datetime64(at if at.tzinfo is None else at.astimezone(UTC).replace(tzinfo=None), "us")
