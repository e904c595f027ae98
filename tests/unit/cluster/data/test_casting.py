"""Columns as users store them against the types of the contract."""

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest

from cluster.data.casting import Fault, cast_column
from cluster.data.schema import TIMESTAMP

NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("column", "want", "expected"),
    [
        (pa.array([1, None], pa.int16()), pa.int64(), [1, None]),
        (pa.array([1.0, float("nan"), None]), pa.int64(), [1, None, None]),  # how pandas writes nullable integers
        (pa.array([7, 2**63 - 1], pa.uint64()), pa.int64(), [7, 2**63 - 1]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), pa.string(), ["a", "b", "a"]),
        (pa.array(["x"], pa.large_string()), pa.string(), ["x"]),
        (pa.array([5, None]), pa.string(), ["5", None]),
        (pa.array([5.0, float("nan")]), pa.string(), ["5", None]),
        (pa.array([1, None]), pa.float32(), [1.0, None]),
        (pa.array([True]), pa.float32(), [1.0]),
        (pa.array([decimal.Decimal("1.50")]), pa.float32(), [1.5]),
        (pa.array([None, None]), pa.list_(pa.string()), [None, None]),
        (pa.array([["a"], None], pa.large_list(pa.large_string())), pa.list_(pa.string()), [["a"], None]),
        (pa.array([[1, 2]]), pa.list_(pa.string()), [["1", "2"]]),
        (pa.array([[1, 2], None, [3, 4]]), pa.list_(pa.float32(), 2), [[1.0, 2.0], None, [3.0, 4.0]]),
        (pa.array([[0.5], [1.5], None], pa.list_(pa.float64(), 1)).slice(1), pa.list_(pa.float32(), 1), [[1.5], None]),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ns")), TIMESTAMP, [NOON]),  # naive means UTC
        (pa.array([NOON], pa.timestamp("ms", tz="Asia/Tokyo")), TIMESTAMP, [NOON]),  # the instant stays
        (pa.array([dt.date(2024, 5, 1)]), TIMESTAMP, [NOON.replace(hour=0)]),
    ],
)
def test_lossless_conversions_are_made(column: pa.Array, want: pa.DataType, expected: list[object]) -> None:
    cast = cast_column(column, want)
    assert cast.type == want
    assert cast.to_pylist() == expected


@pytest.mark.parametrize(
    ("column", "want", "row"),
    [
        (pa.array([None, "12"]), pa.int64(), 1),  # text is never parsed
        (pa.array([1.0, 2.5]), pa.int64(), 1),
        (pa.array([1.0, 2.0**60]), pa.int64(), 1),  # beyond what a double holds exactly
        (pa.array([1, 2**63], pa.uint64()), pa.int64(), 1),
        (pa.array([1.0, 0.5]), pa.string(), 1),
        (pa.array([["a"]]), pa.string(), 0),
        (pa.array([None, "dear"]), pa.float32(), 1),
        (pa.array([1_700_000_000]), TIMESTAMP, 0),  # seconds or microseconds? not ours to guess
        (pa.array(["2024-05-01"]), TIMESTAMP, 0),
        (pa.array([0, 10**15]).cast(pa.timestamp("s")), TIMESTAMP, 1),
        (pa.array(["a|b"]), pa.list_(pa.string()), 0),
        (pa.array([[1.5]]), pa.list_(pa.string()), 0),
        (pa.array([None, [1.0, 2.0], [1.0]]), pa.list_(pa.float32(), 2), 2),  # too short
        (pa.array([["a", "b"]]), pa.list_(pa.float32(), 2), 0),
        (pa.array([1.0]), pa.list_(pa.float32(), 1), 0),
    ],
)
def test_anything_else_is_a_fault_at_its_first_row(column: pa.Array, want: pa.DataType, row: int) -> None:
    with pytest.raises(Fault) as caught:
        cast_column(column, want)
    assert caught.value.row == row
    assert caught.value.value


def test_sliced_columns_keep_their_rows() -> None:
    column = pa.array([0.5, 1.0, 2.0, 3.5])
    assert cast_column(column.slice(1, 2), pa.int64()).to_pylist() == [1, 2]
    with pytest.raises(Fault) as caught:
        cast_column(column.slice(1), pa.int64())
    assert caught.value.row == 2


def test_large_integers_become_floats_by_rounding() -> None:
    assert cast_column(pa.array([2**40 + 1]), pa.float32()).to_pylist() == [float(np.float32(2**40))]
