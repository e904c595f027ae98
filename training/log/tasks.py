"""What one task does to a piece of the serving log: read it, cut it to the time asked for, attach the events.

Arrow tables in, Arrow tables out. Only `Attach.broadcast` touches Ray, to fetch the events that every task shares.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.hashing import hash_ids
from cluster.store.log_parts import readable_batches
from cluster.store.logs import ROW_GROUP_REQUESTS
from training.log.attribution import action_matrix, as_datetime64, group_events

LATER = {
    "filter": pa.string(),
    "exposure": pa.list_(pa.string()),
    "milliseconds": pa.float32(),
    "team": pa.list_(pa.int8()),
    "explored_rate": pa.float32(),
    "dropped_rate": pa.float32(),
    "explored_dropped": pa.list_(pa.bool_()),
    "teacher_rate": pa.float32(),
    "kept_rate": pa.float32(),
    "source_name": pa.list_(pa.string()),
    "source_budget": pa.list_(pa.int32()),
    "source_rank": pa.list_(pa.int32()),
    "source_score": pa.list_(pa.float32()),
}
"""Columns that the first version of the serving log did not have: null in its files."""


@dataclass(frozen=True)
class LogWindow:
    """Requests in [since, until) of datetime64[us]; None is open. `share` keeps so much of them, by hash of the id."""

    since: np.datetime64 | None = None
    until: np.datetime64 | None = None
    share: float = 1.0

    def within(self, other: "LogWindow") -> "LogWindow":
        """The part of it that `other` holds too."""
        (low, high), (least, most) = bounds(self), bounds(other)
        return LogWindow(max(low, least), min(high, most), self.share)


@dataclass(frozen=True)
class Read:
    """Table of paths → the rows that `cut` keeps, a few hundred requests at a time."""

    columns: tuple[str, ...]
    cut: "Cut"

    def __call__(self, files: pa.Table) -> Iterator[pa.Table]:
        """One table a row group; empty ones keep their columns, which Ray Data needs."""
        for path in files.column("path").to_pylist():
            row = 0
            for batch in readable_batches(path, ROW_GROUP_REQUESTS, self.columns):
                table = pa.Table.from_batches([batch])
                for name in set(self.columns) & LATER.keys() - set(table.column_names):
                    table = table.append_column(name, pa.nulls(table.num_rows, LATER[name]))
                yield self.cut(table.select(list(self.columns)), path, row)
                row += batch.num_rows


@dataclass(frozen=True)
class Cut:
    """Keeps the rows of the windows, each request once."""

    windows: dict[str, LogWindow]
    repeats: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)  # path → rows that do not count

    def __call__(self, table: pa.Table, path: str = "", first_row: int = 0) -> pa.Table:
        """`table` starts at row `first_row` of the file `path`."""
        at = as_datetime64(table.column("requested_at"))
        client = table.column("client").to_pylist()
        keep = np.zeros(table.num_rows, bool)
        for name, window in self.windows.items():
            low, high = bounds(window)
            mine = np.array([c == name for c in client], bool) & (at >= low) & (at < high)
            keep |= mine if window.share >= 1 else mine & (_draw(table.column("request_id")) < window.share)
        keep &= first_met(self.repeats, path, first_row, table.num_rows)
        return table if keep.all() else table.filter(pa.array(keep))


def _draw(ids: pa.ChunkedArray) -> np.ndarray:
    """A uniform number of [0, 1) for each request id; independent of the hash that samples candidates."""
    salted = np.array([f"window {i}" for i in ids.to_pylist()], dtype=object)
    return hash_ids(salted).astype(np.float64) / 2.0**63


@dataclass(frozen=True)
class Attach:
    """Adds `actions`, list<float32> n*A, to rows of the serving log."""

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
                pins[i].values,
                event_pin[i].values,
                action[i].values.to_pylist(),
                as_datetime64(at[i].values),
                asked[i],
                self.window,
                self.actions,
            )
            flat[offsets[i] : offsets[i + 1]] = matrix.ravel()
        table = table.drop_columns(["event_pin", "event_action", "event_at"])
        return table.append_column("actions", pa.LargeListArray.from_arrays(offsets, flat))


def first_met(repeats: Mapping[str, np.ndarray], path: str, first_row: int, rows: int) -> np.ndarray:
    """bool[rows] of the rows of a file from `first_row` on: which repeat no request of before."""
    keep = np.ones(rows, bool)
    if path in repeats:
        low, high = np.searchsorted(repeats[path], [first_row, first_row + rows])
        keep[repeats[path][low:high] - first_row] = False
    return keep


def bounds(window: LogWindow) -> tuple[np.datetime64, np.datetime64]:
    """[first, last) moment of a window, with open ends far away."""
    low = window.since if window.since is not None else np.datetime64("1678-01-01", "us")
    high = window.until if window.until is not None else np.datetime64("2262-01-01", "us")
    return low, high


def overlaps(day: str, window: LogWindow) -> bool:
    """Whether a date of the log (YYYY-MM-DD) may hold requests of the window."""
    low, high = bounds(window)
    return bool(np.datetime64(day, "D") >= low.astype("datetime64[D]") and np.datetime64(day, "D") <= high)
