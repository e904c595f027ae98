"""The hash, the tensor contract and the feed of the full ranker."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.bench.full.toy_log import toy_schema, toy_table
from cluster.errors import DataError
from cluster.hashing import hash_ids
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.feed import ParquetFeed, ahead

_MASK = (1 << 64) - 1


def _slow_hash(value: str | int) -> int:
    if isinstance(value, str):
        state = 0xCBF29CE484222325
        for byte in value.encode():
            state = ((state ^ byte) * 0x100000001B3) & _MASK
    else:
        state = value & _MASK
    z = (state + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) & (_MASK >> 1)) or 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("aZ0 -é漢🙂", max_size=12), min_size=1, max_size=20))
def test_text_hash_is_the_documented_one(values: list[str]) -> None:
    assert hash_ids(values).tolist() == [_slow_hash(v) for v in values]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_integer_hash_is_the_documented_one(values: list[int]) -> None:
    assert hash_ids(values).tolist() == [_slow_hash(v) for v in values]


def test_hash_of_sliced_and_null_values() -> None:
    array = pa.array(["x", "pin", None, "é"])
    assert hash_ids(array.slice(1)).tolist() == [_slow_hash("pin"), 0, _slow_hash("é")]
    assert hash_ids(pa.array([7, None])).tolist() == [_slow_hash(7), 0]
    assert hash_ids(["pin"])[0] == 8217757603234678075  # pinned: old bundles depend on it


def _ragged(schema: RankerSchema) -> pa.Table:
    return pa.table(
        {
            "client": ["search", "nowhere"],
            "shared": [[1.0, 2.0], [3.0, None]],
            "candidates": [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0]],
            "pin_hash": [[11, 12], [13]],
            "vectors": [[0.1, 0.2], [0.3]],
            "position": pa.array([[0, 1], [-1]], pa.list_(pa.int16())),
            "labels": [[1.0, 0.0, 0.0, 1.0], [0.0, 0.0]],
            "weights": [[1.0, 2.0], [3.0]],
            "sequence_pin_hash": [[21, 22, 23], []],
            "sequence_action": [["hide", "unheard", "save"], []],
            "sequence_client": [["search", "homefeed", "x"], []],
            "sequence_age": [[1.0, 2.0, 3.0], []],
            "sequence_vectors": [[0.5, 0.6, 0.7], []],
        }
    )


SMALL = RankerSchema(("a", "b"), ("c", "d"), ("save", "hide"), ("homefeed", "search"), n_topics=1, sequence_length=2)


def test_rows_become_the_documented_tensors() -> None:
    batch = RequestBatch.from_table(_ragged(SMALL), SMALL)
    assert batch.client.tolist() == [2, 0]
    assert np.isnan(batch.shared[1, 1])
    assert batch.candidates.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert batch.request.tolist() == [0, 0, 1]
    assert batch.sequence_pin.tolist() == [[21, 22], [0, 0]]  # newest two kept, padded with 0
    assert batch.sequence_action.tolist() == [[2, 0], [0, 0]]
    assert batch.sequence_client.tolist() == [[2, 1], [0, 0]]
    assert batch.sequence_vector[0, :, 0].tolist() == pytest.approx([0.5, 0.6])
    assert batch.position is not None
    assert batch.position.tolist() == [0, 1, -1]
    assert batch.labels is not None
    assert batch.labels.tolist() == [[1, 0], [0, 1], [0, 0]]
    sliced = RequestBatch.from_table(_ragged(SMALL).slice(1), SMALL)
    assert sliced.candidate_pin.tolist() == [13]


def test_take_and_concat_undo_each_other() -> None:
    schema = toy_schema(shared=2, candidate=3, topics=2, length=3)
    whole = RequestBatch.from_table(toy_table(schema, 6, 4, seed=1), schema)
    parts = [whole.take(np.array([i])) for i in range(6)]
    again = RequestBatch.concat(parts)
    for name in ("client", "request", "candidates", "candidate_pin", "sequence_pin", "labels", "position"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert whole.take(np.array([4, 1])).client.tolist() == [whole.client[4], whole.client[1]]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("candidates", [[1.0, 2.0, 3.0], [5.0, 6.0]], "candidates, row 0: 3 values where 4"),
        ("labels", [[1.0, 0.0, 0.0, 1.0], [0.0]], "labels, row 1: 1 values where 2"),
        ("weights", [[1.0, -2.0], [3.0]], "negative"),
        ("sequence_age", [[1.0], []], "sequence_age, row 0"),
    ],
)
def test_wrong_rows_name_the_column(column: str, value: list, words: str) -> None:
    table = _ragged(SMALL)
    table = table.set_column(table.column_names.index(column), column, pa.array(value))
    with pytest.raises(DataError, match=words):
        RequestBatch.from_table(table, SMALL)


def test_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="pin_hash is missing"):
        RequestBatch.from_table(_ragged(SMALL).drop_columns(["pin_hash"]), SMALL)


def test_feed_visits_all_once_alike_for_any_worker_count_and_resumes(tmp_path) -> None:
    schema = toy_schema(shared=1, candidate=3, topics=2, length=2)
    paths = []
    for i in range(2):
        table = toy_table(schema, 20, 2, seed=i)
        marks = pa.array([[float(100 * i + r)] for r in range(20)], pa.list_(pa.float32()))
        pq.write_table(table.set_column(1, "shared", marks), tmp_path / f"{i}.parquet", row_group_size=7)
        paths.append(tmp_path / f"{i}.parquet")

    def run(batch: int, rank: int, world: int, used: int = 0, epoch: int = 0) -> list[list[float]]:
        feed = ParquetFeed(paths, schema, batch, 16, seed=3, rank=rank, world=world)
        return [b.shared[:, 0].tolist() for b in feed(epoch, used)]

    alone = run(4, 0, 1)
    assert sorted(r for batch in alone for r in batch) == [float(100 * i + r) for i in range(2) for r in range(20)]
    assert alone != run(4, 0, 1, epoch=1)
    pairs = [a + b for a, b in zip(run(2, 0, 2), run(2, 1, 2), strict=True)]
    assert pairs == alone
    assert run(4, 0, 1, used=20) == alone[5:]


def test_thinned_negatives_keep_every_action_and_the_total_weight() -> None:
    schema = toy_schema(shared=2, candidate=3, topics=2, length=3)
    whole = RequestBatch.from_table(toy_table(schema, 20, 100, seed=1), schema)
    assert whole.labels is not None
    thin = whole.thin_negatives(0.25, np.random.default_rng(0))
    assert thin.labels is not None
    assert thin.weights is not None
    assert thin.labels.sum() == whole.labels.sum()
    acted = (whole.labels > 0).any(1).sum()
    assert thin.n_candidates == pytest.approx(acted + 0.25 * (2000 - acted), rel=0.1)
    assert thin.weights.sum() == pytest.approx(2000, rel=0.05)
    assert (np.diff(thin.request) >= 0).all()
    assert thin.sequence_pin is whole.sequence_pin
    assert whole.thin_negatives(1.0, np.random.default_rng(0)) is whole


def test_prefetch_passes_errors_on_and_stops_when_left() -> None:
    def failing():
        yield 1
        raise KeyError("lost")

    stream = ahead(failing())
    assert next(stream) == 1
    with pytest.raises(KeyError, match="lost"):
        next(stream)
    endless = ahead(iter(int, 1))
    assert next(endless) == 0
    endless.close()  # joins its thread: a hang here is the failure


def test_the_same_layout_under_another_schema_hash_is_the_same() -> None:
    """A model of 0.1 carries the hash that 0.1 wrote; whether it fits the features is decided by FeatureSet.accepts."""
    now = RankerSchema(("a",), ("b",), schema_hash="new")
    assert replace(now, schema_hash="old") == now
    assert replace(now, shared=("b",)) != now
