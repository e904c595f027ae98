"""Past events by user and time, as flat columns that processes map instead of copying, and the moments to replay.

Knows nothing of graphs, funnels or logs.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Known:
    """Some of one user's events, oldest first."""

    pins: np.ndarray  # ids
    actions: np.ndarray  # object (str)
    clients: np.ndarray  # object (str), "" for none
    at: np.ndarray  # int64, microseconds


@dataclass(frozen=True)
class PastEvents:
    """Cleaned events of all users: `events` sorted by user and time, `starts` int64[U], each user's first row.

    Ray passes both to its tasks without a copy: only the rows of one user at a time become Python objects.
    """

    events: pa.Table
    starts: np.ndarray

    @classmethod
    def of(cls, events: pa.Table) -> "PastEvents":
        """Of cleaned events in any order (`cluster.data.events.clean_events`); equal times keep their order."""
        events = in_order(events.select(["user_id", "pin_id", "action", "client", "occurred_at"]))
        return cls(events, runs(events["user_id"]))

    @cached_property
    def at(self) -> np.ndarray:
        """int64[E]: time of each row, microseconds."""
        times: np.ndarray = self.events["occurred_at"].chunk(0).cast(pa.int64()).to_numpy()
        return times

    def user(self, row: int) -> int | str:
        """The user of a row."""
        user_id: int | str = self.events["user_id"][row].as_py()
        return user_id

    def bounds(self, row: int) -> tuple[int, int]:
        """First row, and the one after the last, of the user that has `row`."""
        user = int(np.searchsorted(self.starts, row, "right"))
        end = int(self.starts[user]) if user < len(self.starts) else len(self.events)
        return int(self.starts[user - 1]), end

    def known(self, begin: int, end: int) -> Known:
        """The rows [begin, end) of one user."""
        return _known(self.events.slice(begin, end - begin), self.at[begin:end])

    def taken(self, rows: np.ndarray) -> Known:
        """Some rows of one user, int64, in order of time."""
        return _known(self.events.take(pa.array(rows)), self.at[rows])

    def moments(self, begin: int, end: int, every: int) -> np.ndarray:
        """Rows at which a request may be made in [begin, end) microseconds, int64[M], in order of time.

        Of each user the first in that time and then one in `every`; never two at the same microsecond.
        """
        rows = np.flatnonzero((self.at >= begin) & (self.at < end))
        user = np.searchsorted(self.starts, rows, "right")
        first = np.flatnonzero(np.diff(user, prepend=-1))
        nth = np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))
        picked = nth % every == 0
        rows, user = rows[picked], user[picked]
        again = (np.diff(user, prepend=-1) == 0) & (np.diff(self.at[rows], prepend=-1) == 0)
        rows = rows[~again]
        order: np.ndarray = rows[np.argsort(self.at[rows], kind="stable")]
        return order


def _known(part: pa.Table, at: np.ndarray) -> Known:
    clients = part["client"].to_pylist()
    return Known(
        np.asarray(part["pin_id"].to_numpy()),
        np.array(part["action"].to_pylist(), dtype=object),
        np.array(["" if name is None else name for name in clients], dtype=object),
        at,
    )


def in_order(events: pa.Table) -> pa.Table:
    """Events by user and time; equal times keep their order. The rows are those of `PastEvents`."""
    order = pc.sort_indices(events, [("user_id", "ascending"), ("occurred_at", "ascending")])
    return events.take(order).combine_chunks()


def runs(ordered: pa.ChunkedArray) -> np.ndarray:
    """int64[U]: where each run of equal values of a column begins."""
    if not len(ordered):
        return np.empty(0, np.int64)
    values = ordered.combine_chunks()
    new = pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return np.append(0, np.flatnonzero(new) + 1)
