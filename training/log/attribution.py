"""Which logged candidate each event belongs to. Pure NumPy and Arrow: knows nothing of Ray, files or strategies.

An event counts for a request when it names it, happened within the attribution window, and its pin was a candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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


def count_events(
    events: pa.Table,
    repeated: int,
    request_ids: pa.Array,
    requested_at: np.ndarray,
    window: timedelta,
    actions: Sequence[str],
) -> EventCounts:
    """Counts of events without repeats (`repeated` of them gone already) against all logged requests.

    `requested_at` is datetime64[us], aligned with `request_ids`.
    """
    if not events.num_rows:
        return EventCounts(repeated=repeated)
    named = events.column("request_id").is_valid().to_numpy()
    known_action = pc.is_in(events.column("action"), value_set=pa.array(actions, pa.string())).to_numpy()
    at = pc.index_in(events.column("request_id"), value_set=request_ids).fill_null(-1).to_numpy()
    found = at >= 0
    happened = as_datetime64(events.column("occurred_at"))
    asked = requested_at[np.maximum(at, 0)] if len(requested_at) else np.zeros(len(at), "datetime64[us]")
    early, late = in_window(happened, asked, window)
    live = named & known_action & found
    return EventCounts(
        used=int((live & ~early & ~late).sum()),
        repeated=repeated,
        without_request=int((~named).sum()),
        unknown_action=int((named & ~known_action).sum()),
        unknown_request=int((named & known_action & ~found).sum()),
        early=int((live & early).sum()),
        late=int((live & late & ~early).sum()),
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


def split_time(requested_at: np.ndarray, held_out_share: float) -> np.datetime64:
    """The moment that splits requests: those before it train, those at or after it are held out.

    `requested_at` is datetime64[us]; about `held_out_share` of the requests lie at or after the result.
    """
    if not len(requested_at):
        return np.datetime64("1970-01-01T00:00:00", "us")
    ordered = np.sort(requested_at)
    return ordered[min(round(len(ordered) * (1 - held_out_share)), len(ordered) - 1)]
