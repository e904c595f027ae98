"""Interactions become users' sequences: in order of time, ties in the order of the file, and nothing twice."""

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DataError
from tests.worlds.sequences import sequences_of
from training.retrieval.sequences import read_sequences


def test_each_user_in_order_of_time_and_ties_in_that_of_the_file() -> None:
    table = pa.table({"u": ["b", "a", "b", "a", "b"], "i": [10, 20, 30, 40, 50], "t": [5, 2, 5, 1, 4]})
    sequences, users, items = read_sequences(table, "u", "i", "t")
    told = {
        users[u].as_py(): [items[int(i)].as_py() for i in sequences.items[sequences.of(u)]]
        for u in range(sequences.n_users)
    }
    assert told == {"b": [50, 10, 30], "a": [40, 20]}


@pytest.mark.parametrize(
    "times",
    [
        [dt.datetime(2026, 1, 1, 0, 0, 1), dt.datetime(2026, 1, 1)],
        [dt.date(2026, 1, 2), dt.date(2026, 1, 1)],
        [1.5, 0.5],
        pa.array([2, 1], pa.int32()),
        pa.array([2, 1], pa.timestamp("ms", tz="UTC")),
        pa.array([2001, 1], pa.timestamp("ns")),
    ],
)
def test_times_of_all_kinds(times: object) -> None:
    sequences, _, items = read_sequences(pa.table({"u": [1, 1], "i": ["x", "y"], "t": times}), "u", "i", "t")
    assert [items[int(i)].as_py() for i in sequences.items] == ["y", "x"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"u": [1], "i": [1]}, "no column 't'"),
        ({"u": [1, None], "i": [1, 2], "t": [1, 2]}, "column 'u': 1 rows are null"),
        ({"u": [1], "i": [1], "t": ["monday"]}, "is no time"),
        ({"u": [1], "i": [1], "t": [float("nan")]}, "is no time"),
        ({"u": [1], "i": [1], "t": [1e300]}, "is no time"),
        ({"u": [1], "i": [1], "t": pa.array([2**64 - 1], pa.uint64())}, "column 't', row 0: 18446744073709551615"),
        ({"u": [[1]], "i": [1], "t": [1]}, r"column 'u' is list<.*which is no int64 id: write it as int64"),
        ({"u": [1], "i": [{"a": 1}], "t": [1]}, "column 'i' is struct<.*which is no int64 id"),
        ({"u": [1.0, float("nan")], "i": [1, 2], "t": [1, 2]}, "column 'u' has 1 NaN"),
        ({"u": [1.5], "i": [1], "t": [1]}, "column 'u' is double and holds 1.5"),
        ({"u": pa.array([], pa.int64()), "i": pa.array([], pa.int64()), "t": pa.array([], pa.int64())}, "no rows"),
    ],
)
def test_what_cannot_be_read_is_named(table: dict[str, object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_sequences(pa.table(table), "u", "i", "t")


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 7))
def test_every_action_but_the_first_is_predicted_once(lengths: list[int], length: int) -> None:
    sequences = sequences_of([list(range(n)) for n in lengths])
    predicted: list[int] = []
    for piece in sequences.pieces(length):
        assert 1 < piece.stop - piece.start <= length + 1
        predicted += range(piece.start + 1, piece.stop)
    firsts = sequences.offsets[:-1][sequences.lengths > 0]
    assert sorted(predicted) == sorted(set(range(len(sequences.items))) - set(firsts.tolist()))
