"""Which events count for which request."""

from datetime import timedelta

import numpy as np
import pyarrow as pa

from cluster.data.schema import event_schema
from tests.worlds.logs import START
from training.log.attribution import EventCounts, action_matrix, as_datetime64, count_events, group_events, keys_of

ACTIONS = ("save", "click", "hide")
HOUR = timedelta(hours=1)


def events(*rows: dict) -> pa.Table:
    base = {
        "user_id": 1,
        "pin_id": 10,
        "action": "save",
        "occurred_at": START,
        "request_id": "r1",
        "received_at": START,
    }
    return pa.Table.from_pylist([base | {"event_id": f"e{i}"} | r for i, r in enumerate(rows)], event_schema("int64"))


def matrix(grouped: pa.Table, pins: list[int], row: int = 0) -> np.ndarray:
    return action_matrix(
        pa.array(pins),
        grouped.column("event_pin")[row].values,
        grouped.column("event_action")[row].as_py(),
        as_datetime64(grouped.column("event_at")[row].values),
        np.datetime64(START.replace(tzinfo=None), "us"),
        HOUR,
        ACTIONS,
    )


def test_events_fall_on_their_candidate_and_action() -> None:
    grouped = group_events(events({"pin_id": 12}, {"action": "click"}, {"pin_id": 12, "action": "hide"}), ACTIONS)
    assert grouped.num_rows == 1
    assert matrix(grouped, [11, 12, 10]).tolist() == [[0, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_late_early_and_foreign_events_do_not_count() -> None:
    table = events(
        {"occurred_at": START + HOUR},  # at the window's end: counts
        {"occurred_at": START + HOUR + timedelta(seconds=1), "action": "click"},
        {"occurred_at": START - timedelta(seconds=6), "action": "click"},
        {"occurred_at": START - timedelta(seconds=4), "action": "hide"},  # clocks differ: counts
        {"pin_id": 99},
    )
    assert matrix(group_events(table, ACTIONS), [10]).tolist() == [[1, 0, 1]]


def test_grouping_drops_repeats_unknown_actions_and_events_without_request() -> None:
    grouped = group_events(
        events(
            {"event_id": "same"}, {"event_id": "same"}, {"action": "wave"}, {"request_id": None}, {"request_id": "r0"}
        ),
        ACTIONS,
    )
    assert grouped.column("request_id").to_pylist() == ["r0", "r1"]
    assert [len(v) for v in grouped.column("event_pin").to_pylist()] == [1, 1]


def test_every_event_is_counted_once() -> None:
    table = events(
        {},
        {"request_id": None},
        {"request_id": "nobody"},
        {"action": "wave"},
        {"occurred_at": START + 2 * HOUR},
        {"occurred_at": START - HOUR},
    )
    asked = np.array([START.replace(tzinfo=None)], "datetime64[us]")
    met = keys_of(table, HOUR, ACTIONS).of_requests(pa.array(["r0", "r1"]), np.repeat(asked, 2))
    counts = count_events(table, 3, ACTIONS).met(*met.tolist())
    assert counts == EventCounts(1, 3, 1, 1, 1, 1, 1)
    assert counts + counts == EventCounts(2, 6, 2, 2, 2, 2, 2)
