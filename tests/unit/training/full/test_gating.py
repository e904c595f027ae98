"""Replayed history is told from answers, as a first full ranker is judged by more on it."""

import pyarrow as pa
import pytest

from training.full.gating import mostly_replayed

REPLAYED = [-1, -1, -1]
SHOWN = [-1, 0, 1]


@pytest.mark.parametrize(
    ("rows", "replayed"),
    [([REPLAYED] * 3, True), ([SHOWN] * 3, False), ([REPLAYED, REPLAYED, SHOWN], True), ([REPLAYED, SHOWN], False)],
)
def test_most_requests_decide(rows: list[list[int]], replayed: bool) -> None:
    assert mostly_replayed(pa.table({"position": pa.array(rows, pa.list_(pa.int16()))})) is replayed
