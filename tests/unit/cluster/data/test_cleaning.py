"""Which rows count, and how the others are counted."""

import pyarrow as pa

from cluster.data.cleaning import Tally, clean_edges, clean_pins, drop_repeats
from cluster.data.events import clean_events
from cluster.data.schema import TIMESTAMP
from tests.worlds.inputs import times_of

NOW = 1_700_000_000 * 10**6
HOUR = 3600 * 10**6


def test_edges_without_ids_or_from_the_future_are_counted() -> None:
    table = pa.table(
        {
            "board_id": pa.array(["a", None, "b", "", "c", "d"]),
            "pin_id": pa.array(["p", "p", None, "p", "p", "p"]),
            "saved_at": times_of([0, 0, 0, 0, NOW + HOUR, NOW + 1]),
        }
    )
    tally = Tally()
    assert clean_edges(table, NOW, tally)["board_id"].to_pylist() == ["a", "d"]
    assert tally.as_dict()["dropped"] == {
        "board_id is empty": 1, "board_id is null": 1, "pin_id is null": 1, "saved_at lies in the future": 1,
    }  # fmt: skip


def test_edges_can_be_cut_at_a_moment_without_counting() -> None:
    saved = pa.array([1, 5, None], pa.int64()).cast(TIMESTAMP)
    table, tally = pa.table({"board_id": [1, 2, 3], "pin_id": [1, 1, 1], "saved_at": saved}), Tally()
    assert clean_edges(table, NOW, tally, before=5)["board_id"].to_pylist() == [1, 3]
    assert not tally.dropped


def test_pins_count_once_and_bad_values_become_missing() -> None:
    table = pa.table(
        {
            "pin_id": [1, 2, 1, None],
            "created_at": times_of([0, NOW + HOUR, 0, 0]),
            "price": pa.array([1.0, float("inf"), 3.0, 4.0], pa.float32()),
        }
    )
    tally = Tally()
    clean = clean_pins(table, NOW, tally)
    assert clean["pin_id"].to_pylist() == [2, 1]
    assert clean["price"].to_pylist() == [None, 3.0]
    assert clean["created_at"].null_count == 1
    assert sum(tally.dropped.values()) == 2
    assert sum(tally.changed.values()) == 2


def test_events_need_a_known_action_and_a_past_time() -> None:
    table = pa.table(
        {
            "user_id": [1, None, 1, 1, 1, 1],
            "pin_id": [1, 1, 1, 1, 1, 1],
            "action": pa.array(["save", "save", "eat", None, "save", "save"]),
            "occurred_at": pa.array([1, 1, 1, 1, None, NOW + HOUR], pa.int64()).cast(TIMESTAMP),
        }
    )
    tally = Tally()
    assert len(clean_events(table, ("save",), NOW, tally)) == 1
    assert tally.dropped == {
        "user_id is null": 1, "action 'eat' is not among `actions`": 1, "action is null": 1,
        "occurred_at is null": 1, "occurred_at lies in the future": 1,
    }  # fmt: skip


def test_repeats_keep_the_first_row_and_all_nulls() -> None:
    table, tally = pa.table({"id": ["a", None, "a", "b", None], "row": range(5)}), Tally()
    assert drop_repeats(table, "id", "twice", tally)["row"].to_pylist() == [0, 1, 3, 4]
    assert tally.dropped == {"twice": 1}


def test_tallies_add_up_and_survive_json() -> None:
    one, two = Tally(), Tally()
    one.dropped["x"] += 2
    two.dropped["x"] += 3
    two.noted["y"] += 1
    one.add(two)
    assert Tally.of(one.as_dict()).as_dict() == {"dropped": {"x": 5}, "changed": {}, "noted": {"y": 1}}
