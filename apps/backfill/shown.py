"""What an earlier system really showed, as flat columns beside the events: requests, their pins, and what came of them.

Knows nothing of graphs, funnels or logs.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apps.backfill.history import PastEvents, runs
from cluster.data.impressions import answered


@dataclass(frozen=True)
class ShownRequest:
    """One request of an earlier system: who asked, what it showed where, and which of the user's events answer it."""

    request_id: str
    user_id: int | str
    at: int  # microseconds
    pins: np.ndarray  # ids
    position: np.ndarray  # int16
    past: tuple[int, int]  # the user's rows in the events, [begin, end)
    answers: np.ndarray  # int64, rows of the events, in order of time


@dataclass(frozen=True)
class PastImpressions:
    """Cleaned impressions by user, time, request and position. Ray passes the columns to its tasks without a copy."""

    shown: pa.Table
    starts: np.ndarray  # int64[R], each request's first row
    past: np.ndarray  # int64[R, 2], rows of the request's user in the events, [begin, end)
    answers: np.ndarray  # int64, rows of the events that answer a request, by request and time
    answer_starts: np.ndarray  # int64[R+1], where those of each request begin

    @classmethod
    def of(cls, impressions: pa.Table, events: pa.Table, history: PastEvents, hours: float) -> "PastImpressions":
        """Of cleaned impressions in any order, and `events` in the order of `history`."""
        keys = ("user_id", "shown_at", "request_id", "position")
        shown = impressions.take(pc.sort_indices(impressions, [(key, "ascending") for key in keys])).combine_chunks()
        starts = runs(shown["request_id"])
        row = answered(events, shown, hours)
        tied = np.flatnonzero(row >= 0)
        request = np.searchsorted(starts, row[tied], "right") - 1
        order = np.argsort(request, kind="stable")  # one request's events are one user's, which are in order of time
        answer_starts = np.append(0, np.cumsum(np.bincount(request, minlength=len(starts))))
        users = history.events["user_id"].take(pa.array(history.starts)).combine_chunks()
        user = pc.index_in(shown["user_id"].take(pa.array(starts)), value_set=users).fill_null(-1).to_numpy()
        bounds = np.append(history.starts, len(history.events))
        past = np.where(user[:, None] >= 0, np.stack([bounds[user], bounds[user + 1]], axis=1), 0)
        return cls(shown, starts, past.astype(np.int64), tied[order], answer_starts)

    @cached_property
    def at(self) -> np.ndarray:
        """int64[R]: time of each request, microseconds."""
        times: np.ndarray = self.shown["shown_at"].take(pa.array(self.starts)).cast(pa.int64()).to_numpy()
        return times

    def of_client(self, client: str) -> np.ndarray:
        """bool[R]: the requests of a client; one without a name may be any client's."""
        names = self.shown["client"].take(pa.array(self.starts))
        return np.asarray(pc.fill_null(pc.equal(names, client), True))

    def moments(self, client: str, begin: int, end: int) -> np.ndarray:
        """Requests of a client in [begin, end) microseconds, int64[M], in order of time."""
        inside = np.flatnonzero(self.of_client(client) & (self.at >= begin) & (self.at < end))
        order: np.ndarray = inside[np.argsort(self.at[inside], kind="stable")]
        return order

    def request(self, number: int) -> ShownRequest:
        """One request."""
        begin = int(self.starts[number])
        end = int(self.starts[number + 1]) if number + 1 < len(self.starts) else len(self.shown)
        part = self.shown.slice(begin, end - begin)
        low, high = self.answer_starts[number : number + 2]
        return ShownRequest(
            part["request_id"][0].as_py(),
            part["user_id"][0].as_py(),
            int(self.at[number]),
            np.asarray(part["pin_id"].to_numpy()),
            part["position"].to_numpy().astype(np.int16),
            (int(self.past[number, 0]), int(self.past[number, 1])),
            self.answers[low:high],
        )


@dataclass(frozen=True)
class KnownPast:
    """All that a replay knows of the past."""

    events: PastEvents
    shown: PastImpressions | None = None

    def showed(self, client: str) -> bool:
        """Whether it is known what a client showed, so that its requests need not be made up."""
        return self.shown is not None and bool(self.shown.of_client(client).any())
