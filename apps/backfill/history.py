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
    """One user's events up to a moment and just after it, oldest first."""

    user_id: int | str
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
        """Of cleaned events in any order (`cluster.data.cleaning.clean_events`); equal times keep their order."""
        order = pc.sort_indices(events, [("user_id", "ascending"), ("occurred_at", "ascending")])
        events = events.select(["user_id", "pin_id", "action", "client", "occurred_at"]).take(order).combine_chunks()
        users = events["user_id"].chunk(0)
        new = pc.not_equal(users[1:], users[:-1]).to_numpy(zero_copy_only=False)
        return cls(events, np.append(0, np.flatnonzero(new) + 1))

    @cached_property
    def at(self) -> np.ndarray:
        """int64[E]: time of each row, microseconds."""
        times: np.ndarray = self.events["occurred_at"].chunk(0).cast(pa.int64()).to_numpy()
        return times

    def bounds(self, row: int) -> tuple[int, int]:
        """First row, and the one after the last, of the user that has `row`."""
        user = int(np.searchsorted(self.starts, row, "right"))
        end = int(self.starts[user]) if user < len(self.starts) else len(self.events)
        return int(self.starts[user - 1]), end

    def known(self, begin: int, end: int) -> Known:
        """The rows [begin, end) of one user."""
        part = self.events.slice(begin, end - begin)
        clients = part["client"].to_pylist()
        return Known(
            part["user_id"][0].as_py(),
            np.asarray(part["pin_id"].to_numpy()),
            np.array(part["action"].to_pylist(), dtype=object),
            np.array(["" if name is None else name for name in clients], dtype=object),
            self.at[begin:end],
        )

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
