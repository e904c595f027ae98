"""Ray Train around `fit`: streams Ray Data or Parquet into workers, checkpoints, resumes after a lost worker,
writes the model.

`train_full(..., num_workers=0)` runs the same code in this process without Ray. Ray is imported only when it is
used.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cluster.errors import ModelError
from training.ranker.batch import RankerSchema
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.feed import ParquetFeed, stream_feed
from training.ranker.fit import Batches, Hooks, State, fit
from training.ranker.job import (
    SAMPLE_REQUESTS,
    Job,
    arrow_tables,
    build_model,
    collect,
    finish,
    held_out_batches,
    read_held_out,
    total_steps,
)
from training.ranker.local import load_state, note, save_state, train_here
from training.ranker.scorer import FullScorer

_RUN = "full-ranker"


def _worker(settings: dict[str, Any]) -> None:
    """What each Ray Train worker runs."""
    import ray
    import ray.train
    import ray.train.torch

    job: Job = ray.get(settings["job"])
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    if job.fit.threads:
        torch.set_num_threads(job.fit.threads)

    def hand_in(row: dict[str, Any], state: Callable[[], State] | FullScorer) -> None:
        """All workers report together; the first one carries the checkpoint."""
        if rank:
            ray.train.report(row)
            return
        with tempfile.TemporaryDirectory() as folder:
            if isinstance(state, FullScorer):
                state.save(folder)
            else:
                save_state(state(), Path(folder) / "state.pt")
            ray.train.report(row, checkpoint=ray.train.Checkpoint.from_directory(folder))

    def epoch_done(row: dict[str, Any], state: Callable[[], State]) -> None:
        if rank == 0:
            note(row)
        hand_in(row, state)

    resume: State | None = None
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            resume = load_state(Path(folder) / "state.pt")
    feed: Batches
    if job.paths is not None:
        feed = ParquetFeed(
            job.paths, job.schema, job.fit.batch_requests, job.fit.shuffle_requests, job.fit.seed, rank, world
        )
    else:
        shard = ray.train.get_dataset_shard("train")
        feed = stream_feed(
            lambda epoch: arrow_tables(shard, job),
            job.schema,
            job.fit.batch_requests,
            job.fit.shuffle_requests,
            job.fit.seed,
            world,
        )
    model = build_model(job, sparse=device.type == "cpu")  # NCCL does not add up sparse gradients
    hooks = Hooks(job.on_step, lambda make, step: hand_in({"step": step}, make), epoch_done)
    result = fit(
        model,
        feed,
        held_out_batches(job),
        job.fit,
        device=device,
        total_steps=total_steps(job, world),
        resume=resume,
        hooks=hooks,
    )
    hand_in({"step": result.steps, "done": True}, finish(job, model, result))


def _on_ray(
    job: Job, dataset: Any, storage: str, num_workers: int | tuple[int, int], use_gpu: bool, max_failures: int
) -> FullScorer:
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    import ray
    import ray.train
    from ray.train.torch import TorchTrainer

    most = num_workers if isinstance(num_workers, int) else num_workers[1]
    cpus = float(ray.cluster_resources().get("CPU", 1))
    # a CPU stays free for Ray Data: workers that reserve all of them starve it and the run hangs without a word
    share = min(1.0, int(100 * max(cpus - 1, 0.5) / most) / 100)
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"job": ray.put(job)},
        datasets=None if job.paths is not None else {"train": dataset},
        scaling_config=ray.train.ScalingConfig(
            num_workers=num_workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": share} | ({"GPU": 1} if use_gpu else {}),
        ),
        run_config=ray.train.RunConfig(
            name=_RUN,
            storage_path=storage,
            failure_config=ray.train.FailureConfig(max_failures=max_failures),
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


def train_full(
    dataset: Any,
    schema: RankerSchema,
    config: ModelConfig,
    fit_config: FitConfig,
    out_dir: Path | str,
    *,
    validation: Any = None,
    num_workers: int | tuple[int, int] = 0,
    use_gpu: bool = False,
    warm_start: Path | str | None = None,
    resume: bool = False,
    storage: Path | str | None = None,
    n_requests: int | None = None,
    max_failures: int = 3,
    on_step: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Train one full ranker and write it to `out_dir` (open it with FullScorer.open). Returns its metrics.

    dataset: a list of Parquet paths, or a ray.data.Dataset, of one row per request (docs/ranker.md).
    validation: later requests, as paths, Dataset or pa.Table; early stopping, calibration and metrics need it.
    num_workers: 0 = this process; n = Ray Train workers; (least, most) = elastic. warm_start: folder of the
    incumbent; schema and sizes must be equal. resume: go on from the last checkpoint in `storage` (default
    `<out_dir>.checkpoints`; several hosts need one they all reach), which a finished run removes. n_requests:
    rows of a Dataset if known, for the learning rate's decay; paths are counted. Raises ModelError, DataError.
    """
    if len(fit_config.task_weights) not in (0, len(schema.actions)):
        raise ModelError(
            f"task_weights has {len(fit_config.task_weights)} entries, the schema has {len(schema.actions)} actions"
        )
    started = time.perf_counter()
    out = Path(out_dir)
    keep = str(storage) if storage is not None else str(out.absolute().with_name(out.name + ".checkpoints"))
    remote = "://" in keep
    if not resume and not remote:
        shutil.rmtree(Path(keep) / _RUN, ignore_errors=True)
    warm = None
    if warm_start is not None:
        incumbent = FullScorer.open(warm_start)
        if (incumbent.schema, incumbent.config) != (schema, config):
            raise ModelError(
                f"cannot warm-start from {warm_start}: its schema or sizes differ: train without a warm start"
            )
        warm = incumbent.model.state_dict()
    paths: tuple[str, ...] | None = None
    if isinstance(dataset, Sequence):
        paths = tuple(str(Path(p).absolute()) if "://" not in str(p) else str(p) for p in dataset)
        counted = ParquetFeed(paths, schema, fit_config.batch_requests, fit_config.shuffle_requests, fit_config.seed)
        if not counted.requests:
            raise ModelError("the full ranker got no training requests: check the date range and the client filter")
        n_requests, sample = counted.requests, counted.sample(SAMPLE_REQUESTS)
    else:
        sample = collect(dataset, SAMPLE_REQUESTS)
        if not sample.num_rows:
            raise ModelError("the full ranker got no training requests: check the date range and the client filter")
    job = Job(schema, config, fit_config, sample, read_held_out(validation), warm, paths, n_requests, on_step)
    if num_workers == 0:
        scorer = train_here(job, dataset, Path(keep) / _RUN, resume)
    else:
        scorer = _on_ray(
            job, dataset, keep if remote else str(Path(keep).absolute()), num_workers, use_gpu, max_failures
        )
    scorer.metrics["wall_seconds"] = time.perf_counter() - started
    scorer.save(out)
    if not remote:
        shutil.rmtree(keep, ignore_errors=True)
    return scorer.metrics
