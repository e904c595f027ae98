"""What a Ray Train worker does around `fit`: its share of the rows, reports, checkpoints, and where to go on from."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training.ranker.feed import ParquetFeed, stream_feed
from training.ranker.fit import Batches, Hooks, State, fit
from training.ranker.job import Job, arrow_tables, build_model, finish, held_out_batches, total_steps
from training.ranker.local import load_state, note, save_state
from training.ranker.scorer import FullScorer


def train_in_worker(settings: dict[str, Any]) -> None:
    """What each worker runs; `settings["job"]` refers to the `Job` in Ray's object store."""
    import ray
    import ray.train
    import ray.train.torch

    job: Job = ray.get(settings["job"])
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    device = ray.train.torch.get_device()
    if job.fit.threads:
        torch.set_num_threads(job.fit.threads)

    def epoch_done(row: dict[str, Any], state: Callable[[], State]) -> None:
        if rank == 0:
            note(row)
        _hand_in(rank, row, state)

    def checkpoint(state: Callable[[], State], step: int) -> None:
        _hand_in(rank, {"step": step}, state)

    model = build_model(job, sparse=device.type == "cpu")  # NCCL does not add up sparse gradients
    result = fit(
        model,
        _worker_feed(job, rank, world),
        held_out_batches(job),
        job.fit,
        device=device,
        total_steps=total_steps(job, world),
        resume=_last_state(),
        hooks=Hooks(job.on_step, checkpoint, epoch_done),
    )
    _hand_in(rank, {"step": result.steps, "done": True}, finish(job, model, result))


def _hand_in(rank: int, row: dict[str, Any], state: Callable[[], State] | FullScorer) -> None:
    """All workers report together; the first one carries the checkpoint."""
    import ray.train

    if rank:
        ray.train.report(row)
        return
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(state, FullScorer):
            state.save(folder)
        else:
            save_state(state(), Path(folder) / "state.pt")
        ray.train.report(row, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _last_state() -> State | None:
    """The state of the run's last checkpoint; None at its start."""
    import ray.train

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return load_state(Path(folder) / "state.pt")


def _worker_feed(job: Job, rank: int, world: int) -> Batches:
    """One worker's share of the rows: of the files, or of the Ray Dataset."""
    import ray.train

    fit_config = job.fit
    if job.paths is not None:
        return ParquetFeed(
            job.paths,
            job.schema,
            fit_config.batch_requests,
            fit_config.shuffle_requests,
            fit_config.seed,
            rank,
            world,
        )
    shard = ray.train.get_dataset_shard("train")
    return stream_feed(
        lambda epoch: arrow_tables(shard, job),
        job.schema,
        fit_config.batch_requests,
        fit_config.shuffle_requests,
        fit_config.seed,
        world,
    )
