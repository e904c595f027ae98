"""Rows of fresh pins: what is kept, and the reason for each that is not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.fresh.rows import MOST_BOARDS, RowContract
from cluster.settings.project import DataSettings, Project, Source
from tests.worlds.inputs import FEATURES

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WHOLE = {
    "pin_id": 7,
    "boards": [3, 4],
    "saved_at": "2026-01-31T11:00:00Z",
    "topics": ["cats", "dogs"],
    "locale": "de",
    "created_at": "2026-01-30",
    "vector": [1, 0.5, 0],
    "price": 2.5,
    "shop": "a",
    "stock": 3,
    "tags": ["x"],
}


def contract(ids: str = "int64") -> RowContract:
    data = DataSettings(edges=Source(path="edges"), pins=Source(path="pins"))
    attributes = {"stock": "number", "tags": "list"}
    return RowContract(
        Project.model_validate({"ids": ids, "data": data, "features": FEATURES, "attributes": attributes})
    )


def test_a_whole_row_has_the_values_that_the_contract_gives_a_file() -> None:
    kept, refused = contract().read([WHOLE], NOW)
    assert not refused
    rows = contract().tables(kept)
    [pin] = rows.pins.to_pylist()
    assert pin["topics"] == ["cats", "dogs"]
    assert pin["created_at"] == datetime(2026, 1, 30, tzinfo=UTC)
    assert (pin["vector"], pin["price"], pin["shop"], pin["stock"], pin["tags"]) == ([1, 0.5, 0], 2.5, "a", 3.0, ["x"])
    assert pin["updated_at"] is None
    at = datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert rows.edges.to_pylist() == [{"board_id": board, "pin_id": 7, "saved_at": at} for board in (3, 4)]


def test_a_save_is_a_pin_and_its_boards_and_counts_from_now() -> None:
    kept, refused = contract("string").read([{"pin_id": "é", "boards": ["b"]}, {"pin_id": "lonely"}], NOW)
    assert not refused
    rows = contract("string").tables(kept)
    assert rows.pins["pin_id"].to_pylist() == ["é", "lonely"]
    assert rows.edges.to_pylist() == [{"board_id": "b", "pin_id": "é", "saved_at": NOW}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pin_id": "7"}, "pin_id: ids of this project are int64"),
        ({"pin_id": None}, "pin_id: ids of this project are int64"),
        ({"pin_id": 2**63}, "pin_id: an int64 id lies between"),
        ({"boards": 3}, "boards: a list of at most"),
        ({"boards": [3, "4"]}, "boards: ids of this project are int64"),
        ({"boards": list(range(MOST_BOARDS + 1))}, "boards: a list of at most"),
        ({"saved_at": "yesterday"}, "saved_at: found 'yesterday', a time like"),
        ({"saved_at": ""}, "saved_at: found '', a time like"),
        ({"saved_at": 1700000000}, "saved_at: found 1700000000, a time like"),
        ({"saved_at": (NOW + timedelta(hours=1)).isoformat()}, "saved_at: lies in the future"),
        ({"topics": "cats|dogs"}, "topics: found 'cats|dogs', list is wanted"),
        ({"topics": ["\ud800"]}, "topics: found"),
        ({"vector": [1, 2]}, "vector: found [1, 2], vector is wanted"),
        ({"price": "cheap"}, "price: found 'cheap', float is wanted"),
        ({"shop": ["a"]}, "shop: found ['a'], string is wanted"),
        ({"shop": "x" * 2000}, "shop: longer than"),
        ({"colour": "red"}, "colour: no such column"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_taken(change: dict[str, Any], reason: str) -> None:
    kept, refused = contract().read([WHOLE, {**WHOLE, **change}, {"pin_id": 8}], NOW)
    assert [row["pin_id"] for row in kept] == [7, 8]
    [each] = refused
    assert each.row == 1
    assert each.reason.startswith(reason)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON | st.dictionaries(st.sampled_from([*WHOLE, "x"]), JSON, max_size=4), max_size=4))
def test_whatever_json_says_it_is_kept_or_refused_and_what_is_kept_can_be_read(rows: list[Any]) -> None:
    kept, refused = contract().read(rows, NOW)
    assert len(kept) + len(refused) == len(rows)
    tables = contract().tables(kept)
    assert len(tables.pins) == len(kept)
    assert len(tables.edges) == sum(len(row["boards"]) for row in kept)
