"""The same ids written in two ways: `evaluate retrieval` finds them, or says why it cannot."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import DataError
from cluster.walk.walker import WalkParams
from training.retrieval.walks import evaluate_retrieval

PARAMS = WalkParams(steps=2000, restart=1.0)


def edges() -> tuple[pa.Table, pa.Table]:
    """Five groups of boards that share their pins; a tenth of the edges is to be found."""
    rng = np.random.default_rng(0)
    board = np.repeat(np.arange(50), 20)
    pin = board % 5 * 40 + rng.integers(0, 40, len(board))
    table = pa.table({"board_id": pa.array(board), "pin_id": pa.array(pin)})
    held = rng.random(len(board)) < 0.1
    return table.filter(pa.array(~held)), table.filter(pa.array(held))


def as_type(table: pa.Table, kind: Any) -> pa.Table:
    return pa.table({name: pa.chunked_array([column.cast(kind).combine_chunks()]) for name, column in
                     zip(table.column_names, table.columns, strict=True)})  # fmt: skip


def recall(train: pa.Table, test: pa.Table) -> float:
    return float(evaluate_retrieval(train, test, "board_id", "pin_id", 20, PARAMS)["recall@20"])


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.float64(), pa.int16(), pa.uint64(), pa.dictionary(pa.int32(), pa.int64())],
)
def test_the_same_ids_of_another_type_are_found(kind: pa.DataType) -> None:
    train, test = edges()
    expected = recall(train, test)
    other = (
        pa.table(
            {n: c.combine_chunks().dictionary_encode() for n, c in zip(test.column_names, test.columns, strict=True)}
        )
        if pa.types.is_dictionary(kind)
        else as_type(test, kind)
    )
    assert expected > 0.2
    assert recall(train, other) == pytest.approx(expected, abs=0.05)
    assert recall(as_type(train, pa.string()) if kind == pa.string() else train, other) > 0.2


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (pa.array([0.5, 1.0]), r"test edges: column 'pin_id' is double and holds 0.5 .* no int64 id"),
        (pa.array([float("nan"), 1.0]), r"test edges: column 'pin_id' has 1 NaN"),
        (pa.array([b"1", b"2"]), r"test edges: column 'pin_id' is binary and holds b'1'"),
        (pa.array([2.0**60, 1.0]), r"test edges: column 'pin_id' is double"),
    ],
)
def test_ids_that_cannot_be_read_are_refused(ids: pa.Array, message: str) -> None:
    train, _ = edges()
    with pytest.raises(DataError, match=message):
        recall(train, pa.table({"board_id": pa.array([0, 1]), "pin_id": ids}))
