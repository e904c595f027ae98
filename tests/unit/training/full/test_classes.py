"""What the training rows can teach: one class refuses, and an action of one class predicts its base rate."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.bench.full.toy_log import nested, toy_table
from cluster.errors import ModelError
from tests.worlds.ranker import SCHEMA, TINY, toy_batch
from training.full.classes import ActionCounts
from training.ranker.config import FitConfig
from training.ranker.scorer import FullScorer
from training.ranker.trainer import train_full

HIDE = SCHEMA.actions.index("hide")


def rows_with(change: object, requests: int = 40, candidates: int = 6) -> pa.Table:
    """Toy rows whose labels float[B, n, A] a function has changed in its hands."""
    rows = toy_table(SCHEMA, requests, candidates)
    labels = np.asarray(rows["labels"].combine_chunks().flatten()).reshape(requests, candidates, -1).copy()
    change(labels)  # type: ignore[operator]
    column = nested(labels.ravel(), np.full(requests, labels[0].size))
    return rows.set_column(rows.schema.get_field_index("labels"), "labels", column)


def counts_of(folder: Path, change: object) -> ActionCounts:
    pq.write_table(rows_with(change), folder / "rows.parquet", row_group_size=7)
    return ActionCounts.of([str(folder / "rows.parquet")], SCHEMA.actions)


def test_examples_are_counted_by_action(tmp_path: Path) -> None:
    def change(labels: np.ndarray) -> None:
        labels[:] = 0.0
        labels[0, :2, 0] = 1.0
        labels[3, 1, :2] = 1.0
        labels[5, 5, 1] = np.nan

    counts = counts_of(tmp_path, change)
    assert counts == ActionCounts(240, 3, {"save": 3, "click": 1, "closeup": 0, "long_click": 0, "hide": 0})
    counts.require_learnable()
    assert counts.one_class == ("closeup", "long_click", "hide")
    assert counts.task_weights() == (1.0, 1.0, 0.0, 0.0, 0.0)
    assert counts.notes() == (
        "not learnt, predicted at its base rate, as all or none of 240 examples have it: "
        "closeup (0), long_click (0), hide (0)",
    )


@pytest.mark.parametrize(("value", "what"), [(1.0, "backfill --unseen"), (0.0, "check the event log")])
def test_one_class_refuses_in_one_line(value: float, what: str, tmp_path: Path) -> None:
    def change(labels: np.ndarray) -> None:
        labels[:] = 0.0
        labels[:, :, 0] = value

    with pytest.raises(ModelError, match=what) as refused:
        counts_of(tmp_path, change).require_learnable()
    assert "240 examples" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_action_of_one_class_predicts_its_base_rate(tmp_path: Path) -> None:
    def change(labels: np.ndarray) -> None:
        labels[:, :, HIDE] = 0.0

    rows, later = rows_with(change, 96, 20), rows_with(change, 60, 20)
    pq.write_table(rows, tmp_path / "rows.parquet")
    counts = ActionCounts.of([str(tmp_path / "rows.parquet")], SCHEMA.actions)
    assert counts.one_class == ("hide",)
    fit = FitConfig(epochs=2, task_weights=counts.task_weights(), threads=1)
    for name, validation in (("with", later), ("without", None)):
        train_full([str(tmp_path / "rows.parquet")], SCHEMA, TINY, fit, tmp_path / name, validation=validation)
        score = FullScorer.open(tmp_path / name).score(toy_batch(seed=5))
        examples = (60 if validation else 96) * 20
        np.testing.assert_allclose(score[:, HIDE], 0.5 / (examples + 1), rtol=1e-4)
        assert np.ptp(score[:, 0]) > 0.001  # the others are learnt
