"""The full ranker on Ray Train: a killed worker, a Ray Dataset as input, and the same answer as without Ray."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.bench.full.toy_log import toy_schema, toy_table
from cluster.errors import ModelError
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.scorer import FullScorer
from training.ranker.trainer import RunPlan, train_full

pytestmark = pytest.mark.usefixtures("ray_session")

CONFIG = ModelConfig.debug().but(pin_buckets=512, sequence_layers=0, dropout=0.0, id_dropout=0.0)
FIT = FitConfig(epochs=2, batch_requests=8, checkpoint_steps=4, shuffle_requests=64, threads=1, client_dropout=0.0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[RankerSchema, list[str], pa.Table]:
    """Schema, training files and held-out rows."""
    folder = tmp_path_factory.mktemp("rows")
    schema = toy_schema(shared=3, candidate=6, topics=4, length=4)
    for i in range(2):
        table = toy_table(schema, 64, 24, seed=i)
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=32)
    return schema, [str(folder / "0.parquet"), str(folder / "1.parquet")], toy_table(schema, 64, 24, seed=9)


def _scores(folder: Path, schema: RankerSchema, table: pa.Table) -> np.ndarray:
    return FullScorer.open(folder).score(RequestBatch.from_table(table, schema))


def test_killed_worker_resumes_mid_epoch_and_ends_like_an_undisturbed_run(rows, tmp_path: Path) -> None:
    schema, paths, held_out = rows
    plain = train_full(paths, schema, CONFIG, FIT, tmp_path / "plain", validation=held_out)
    marker, seen = tmp_path / "killed", tmp_path / "steps"

    def kill_once(step: int) -> None:
        with seen.open("a") as f:
            f.write(f"{step}\n")
        if step == 6 and not marker.exists():  # epochs are 16 steps, the last checkpoint was at 4
            marker.touch()
            snapshot = tmp_path / "killed_model.checkpoints" / "full-ranker" / "checkpoint_manager_snapshot.json"
            deadline = time.monotonic() + 120
            while "checkpoint_" not in (snapshot.read_text() if snapshot.exists() else ""):
                assert time.monotonic() < deadline, "the controller never took the checkpoint of step 4"
                time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)

    killed = train_full(
        paths,
        schema,
        CONFIG,
        FIT,
        tmp_path / "killed_model",
        validation=held_out,
        plan=RunPlan(num_workers=1, on_step=kill_once),
    )
    steps = [int(s) for s in seen.read_text().split()]
    assert marker.exists()
    assert steps[:8] == [1, 2, 3, 4, 5, 6, 5, 6]  # went on from the checkpoint, not from the start
    assert killed["steps"] == plain["steps"] == 32
    assert (killed["resumed"], plain["resumed"]) == ([0], [])
    np.testing.assert_allclose(
        _scores(tmp_path / "killed_model", schema, held_out), _scores(tmp_path / "plain", schema, held_out), atol=2e-3
    )


def test_two_workers_on_a_ray_dataset_learn(rows, tmp_path: Path) -> None:
    import ray.data

    schema, paths, held_out = rows
    metrics = train_full(
        ray.data.read_parquet(paths),
        schema,
        CONFIG,
        FIT.but(epochs=3),
        tmp_path / "m",
        validation=held_out,
        plan=RunPlan(num_workers=2),
    )
    assert metrics["steps"] == 3 * 128 // (2 * 8)
    history = FullScorer.open(tmp_path / "m").history
    assert np.mean(history[-1]["validation_loss"]) < np.mean(history[0]["validation_loss"])


def test_a_run_that_died_with_one_worker_goes_on_with_two(rows, tmp_path: Path) -> None:
    """No worker comes back: the run fails, and a later one with another number of workers takes its checkpoint."""
    schema, paths, held_out = rows
    folder, seen = tmp_path / "grown", tmp_path / "steps"
    snapshot = tmp_path / "grown.checkpoints" / "full-ranker" / "checkpoint_manager_snapshot.json"

    def die(step: int) -> None:
        if step == 6:
            deadline = time.monotonic() + 120
            while "checkpoint_" not in (snapshot.read_text() if snapshot.exists() else ""):
                assert time.monotonic() < deadline, "the controller never took the checkpoint of step 4"
                time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)

    def note(step: int) -> None:
        with seen.open("a") as f:
            f.write(f"{step}\n")

    with pytest.raises(ModelError, match="failed on Ray"):
        train_full(
            paths,
            schema,
            CONFIG,
            FIT,
            folder,
            validation=held_out,
            plan=RunPlan(num_workers=1, max_failures=0, on_step=die),
        )
    metrics = train_full(
        paths, schema, CONFIG, FIT, folder, validation=held_out, plan=RunPlan(num_workers=2, resume=True, on_step=note)
    )
    # 4 steps of 8 requests are done; of 128 requests an epoch 96 are left, then a whole epoch, in steps of 2 x 8
    assert metrics["steps"] == 4 + 6 + 8
    assert sorted(int(s) for s in seen.read_text().split()) == sorted([*range(5, 19)] * 2)
    history = FullScorer.open(folder).history
    assert np.mean(history[-1]["validation_loss"]) < np.mean(history[0]["validation_loss"])
