"""Which logged candidate each event belongs to. Pure NumPy and Arrow: knows nothing of Ray, files or strategies.

An event counts for a request when it names it, happened within the attribution window, and its pin was a candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.hashing import hash_ids
from cluster.store.log_parts import EVENT_KEY, first_of_each

CLOCK_SLACK = np.timedelta64(5_000_000, "us")
"""An event may precede its request by this much: front ends and servers have different clocks."""


@dataclass(frozen=True)
class EventCounts:
    """What became of the events of a date range; every dropped one is in exactly one of the last six."""

    used: int = 0
    repeated: int = 0  # the event id was there already
    without_request: int = 0  # history from before the funnel, or from elsewhere
    unknown_request: int = 0  # names a request that is not in the serving log
    late: int = 0  # after the attribution window
    early: int = 0  # before the request
    unknown_action: int = 0  # not among the project's actions

    @property
    def events(self) -> int:
        """How many there were, each once."""
        return sum(getattr(self, f.name) for f in fields(self)) - self.repeated

    def met(self, used: int, early: int, late: int) -> "EventCounts":
        """With so many of the events found to be of known requests."""
        return replace(
            self,
            used=self.used + used,
            early=self.early + early,
            late=self.late + late,
            unknown_request=self.unknown_request - used - early - late,
        )

    def __add__(self, other: "EventCounts") -> "EventCounts":
        return EventCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


def group_events(events: pa.Table, actions: Sequence[str]) -> pa.Table:
    """Events by request: `request_id`, and lists `event_pin`, `event_action`, `event_at`, one row a request, by time.

    Repeated event ids, events without a request and actions that the project does not know are left out.
    """
    events = first_of_each(events, EVENT_KEY)
    events = events.filter(pc.is_in(events.column("action"), value_set=pa.array(actions, pa.string())))
    events = events.filter(pc.is_valid(events.column("request_id")))
    events = events.sort_by([("request_id", "ascending"), ("occurred_at", "ascending")]).combine_chunks()
    ids = np.asarray(events.column("request_id").to_pylist(), dtype=object)
    new = np.ones(len(ids), bool)
    new[1:] = ids[1:] != ids[:-1]
    offsets = pa.array(np.append(np.flatnonzero(new), len(ids)).astype(np.int32))

    def lists(name: str) -> pa.Array:
        column = events.column(name).combine_chunks()
        values = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        return pa.ListArray.from_arrays(offsets, values)

    return pa.table(
        {
            "request_id": pa.array(ids[new], pa.string()),
            "event_pin": lists("pin_id"),
            "event_action": lists("action"),
            "event_at": lists("occurred_at"),
        }
    )


@dataclass(frozen=True)
class EventKeys:
    """Of the events that may count: the request that each names, by hash, and when it happened; sorted by hash.

    Two requests of one hash (one pair in 10^19) would only be counted wrongly.
    """

    request: np.ndarray  # int64[E]
    happened: np.ndarray  # datetime64[us][E]
    window: timedelta  # that an event may come after its request

    def of_requests(self, ids: pa.Array, asked: np.ndarray) -> np.ndarray:
        """int64[3]: events of requests made at datetime64[us][n] that are in time, too early, and too late."""
        hashes = hash_ids(ids)
        begin, end = (np.searchsorted(self.request, hashes, side) for side in ("left", "right"))
        named = np.flatnonzero(end > begin)
        met = (end - begin)[named]
        event = np.repeat(begin[named] - np.cumsum(met) + met, met) + np.arange(met.sum())
        early, late = in_window(self.happened[event], np.repeat(asked[named], met), self.window)
        return np.array([(~early & ~late).sum(), early.sum(), (late & ~early).sum()], np.int64)


def keys_of(events: pa.Table, window: timedelta, actions: Sequence[str]) -> EventKeys:
    """Of events without repeats: those that name a request, with an action of the project's."""
    known = pc.is_in(events.column("action"), value_set=pa.array(actions, pa.string()))
    able = events.filter(pc.and_(known, pc.is_valid(events.column("request_id"))))
    hashes = hash_ids(able.column("request_id"))
    order = np.argsort(hashes, kind="stable")
    return EventKeys(hashes[order], as_datetime64(able.column("occurred_at"))[order], window)


def count_events(events: pa.Table, repeated: int, actions: Sequence[str]) -> EventCounts:
    """Counts of events without repeats (`repeated` of them gone already), as if no request was known yet."""
    named = events.column("request_id").is_valid()
    known = pc.is_in(events.column("action"), value_set=pa.array(actions, pa.string()))
    without_request = int(pc.sum(pc.invert(named)).as_py() or 0)
    able = int(pc.sum(pc.and_(named, known)).as_py() or 0)
    return EventCounts(
        repeated=repeated,
        without_request=without_request,
        unknown_action=events.num_rows - without_request - able,
        unknown_request=able,
    )


def in_window(happened: np.ndarray, asked: Any, window: timedelta) -> tuple[np.ndarray, np.ndarray]:
    """Masks (too early, too late) of datetime64[us] arrays; `asked` may be one moment."""
    return happened < asked - CLOCK_SLACK, happened > asked + np.timedelta64(window)


def action_matrix(
    pins: pa.Array,
    event_pin: pa.Array,
    event_action: Sequence[str],
    event_at: np.ndarray,
    asked: Any,
    window: timedelta,
    actions: Sequence[str],
) -> np.ndarray:
    """float32[n, A]: 1 where a user did action a with candidate i of one request within the window."""
    out = np.zeros((len(pins), len(actions)), np.float32)
    if len(event_pin):
        row = pc.index_in(event_pin, value_set=pins).fill_null(-1).to_numpy(zero_copy_only=False)
        column = np.array([actions.index(a) if a in actions else -1 for a in event_action])
        early, late = in_window(event_at, asked, window)
        use = (row >= 0) & (column >= 0) & ~early & ~late
        out[row[use], column[use]] = 1.0
    return out


def as_datetime64(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A timestamp column as datetime64[us] in UTC."""
    micros = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(micros.to_numpy(zero_copy_only=False)).astype("datetime64[us]")
