"""Trains one full ranker: in this process, or on Ray Train, which restarts a lost worker from its last checkpoint.

What each worker does stands in worker.py. Ray is imported only when it is used.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from cluster.errors import ModelError
from training.ranker.batch import RankerSchema
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.feed import ParquetFeed
from training.ranker.job import SAMPLE_REQUESTS, Job, collect, read_held_out
from training.ranker.local import train_here
from training.ranker.scorer import FullScorer
from training.ranker.worker import train_in_worker

_RUN = "full-ranker"


@dataclass(frozen=True)
class RunPlan:
    """How a training run is carried out: by how many workers, on what, and how it survives the loss of one."""

    num_workers: int | tuple[int, int] = 0  # 0 = this process; n = Ray Train workers; (least, most) = elastic
    reserve: Mapping[str, float] = field(default_factory=dict)  # by each worker beside its CPUs: GPU, custom resources
    storage: Path | str | None = None  # checkpoints; several hosts need one they all reach. Default: beside the model
    resume: bool = False  # go on from the last checkpoint in `storage`, which a finished run removes
    max_failures: int = 3
    on_step: Callable[[int], None] | None = None


def train_full(
    dataset: Any,
    schema: RankerSchema,
    config: ModelConfig,
    fit_config: FitConfig,
    out_dir: Path | str,
    *,
    validation: Any = None,
    warm_start: Path | str | None = None,
    n_requests: int | None = None,
    plan: RunPlan | None = None,
) -> dict[str, Any]:
    """Train one full ranker and write it to `out_dir` (open it with FullScorer.open). Returns its metrics.

    dataset: a list of Parquet paths, or a ray.data.Dataset, of one row per request (docs/ranker.md).
    validation: later requests, as paths, Dataset or pa.Table; early stopping, calibration and metrics need it.
    warm_start: folder of the incumbent; schema and sizes must be equal. n_requests: rows of a Dataset if known, for
    the learning rate's decay; paths are counted. plan: in this process by default. Raises ModelError, DataError.
    """
    if len(fit_config.task_weights) not in (0, len(schema.actions)):
        raise ModelError(
            f"task_weights has {len(fit_config.task_weights)} entries, the schema has {len(schema.actions)} actions"
        )
    started = time.perf_counter()
    plan = plan or RunPlan()
    out = Path(out_dir)
    keep = str(plan.storage) if plan.storage is not None else str(out.absolute().with_name(out.name + ".checkpoints"))
    remote = "://" in keep
    if not remote:
        keep = str(Path(keep).absolute())
        if not plan.resume:
            shutil.rmtree(Path(keep) / _RUN, ignore_errors=True)
    warm = None if warm_start is None else _warm_weights(warm_start, schema, config)
    paths, sample, counted = _training_rows(dataset, schema, fit_config)
    total = n_requests if counted is None else counted
    job = Job(schema, config, fit_config, sample, read_held_out(validation), warm, paths, total, plan.on_step)
    if plan.num_workers == 0:
        scorer = train_here(job, dataset, Path(keep) / _RUN, plan.resume)
    else:
        scorer = _on_ray(job, dataset, keep, plan)
    scorer.metrics["wall_seconds"] = time.perf_counter() - started
    scorer.save(out)
    if not remote:
        shutil.rmtree(keep, ignore_errors=True)
    return scorer.metrics


def _warm_weights(folder: Path | str, schema: RankerSchema, config: ModelConfig) -> Mapping[str, torch.Tensor]:
    """Weights of a saved ranker of the same schema and sizes. Raises ModelError for others."""
    incumbent = FullScorer.open(folder)
    if (incumbent.schema, incumbent.config) != (schema, config):
        raise ModelError(f"cannot warm-start from {folder}: its schema or sizes differ: train without a warm start")
    return incumbent.model.state_dict()


def _training_rows(
    dataset: Any, schema: RankerSchema, fit_config: FitConfig
) -> tuple[tuple[str, ...] | None, pa.Table, int | None]:
    """Paths, a sample for input statistics and the number of requests; no paths and number of a Ray Dataset."""
    paths: tuple[str, ...] | None = None
    requests: int | None = None
    if isinstance(dataset, Sequence):
        paths = tuple(str(Path(p).absolute()) if "://" not in str(p) else str(p) for p in dataset)
        feed = ParquetFeed(paths, schema, fit_config.batch_requests, fit_config.shuffle_requests, fit_config.seed)
        requests = feed.requests
        sample = feed.sample(SAMPLE_REQUESTS) if requests else pa.table({})
    else:
        sample = collect(dataset, SAMPLE_REQUESTS)
    if not sample.num_rows:
        raise ModelError("the full ranker got no training requests: check the date range and the client filter")
    return paths, sample, requests


def _on_ray(job: Job, dataset: Any, storage: str, plan: RunPlan) -> FullScorer:
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    import ray
    import ray.train
    from ray.train.torch import TorchTrainer

    most = plan.num_workers if isinstance(plan.num_workers, int) else plan.num_workers[1]
    cpus = float(ray.cluster_resources().get("CPU", 1))
    # a CPU stays free for Ray Data: workers that reserve all of them starve it and the run hangs without a word
    share = min(1.0, int(100 * max(cpus - 1, 0.5) / most) / 100)
    trainer = TorchTrainer(
        train_in_worker,
        train_loop_config={"job": ray.put(job)},
        datasets=None if job.paths is not None else {"train": dataset},
        scaling_config=ray.train.ScalingConfig(
            num_workers=plan.num_workers,
            use_gpu="GPU" in plan.reserve,
            resources_per_worker={"CPU": share, **plan.reserve},
        ),
        run_config=ray.train.RunConfig(
            name=_RUN,
            storage_path=storage,
            failure_config=ray.train.FailureConfig(max_failures=plan.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )
    try:
        outcome = trainer.fit()
    except Exception as error:
        raise ModelError(
            f"training the full ranker failed on Ray: {str(error).splitlines()[0]}: see the worker's log"
        ) from error
    if outcome.checkpoint is None:
        raise ModelError("training the full ranker on Ray ended without a model: see the worker's log")
    with outcome.checkpoint.as_directory() as folder:
        return FullScorer.open(folder)
