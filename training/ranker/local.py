"""A training job in this process, without Ray; and how a checkpoint is written and read, for Ray's workers too."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.ranker.feed import ParquetFeed, stream_feed
from training.ranker.fit import Batches, Hooks, State, fit
from training.ranker.job import Job, arrow_tables, build_model, finish, held_out_batches, total_steps
from training.ranker.scorer import FullScorer

log = logging.getLogger("pinfunnel.ranker")


def note(row: Mapping[str, Any]) -> None:
    """Log the figures of one evaluation."""
    shown = {k: np.round(v, 4).tolist() for k, v in row.items() if k not in ("epoch", "step")}
    log.info("full ranker epoch %d step %d: %s", row["epoch"], row["step"], shown)


def load_state(path: Path) -> State | None:
    """The state that `save_state` left; None when there is none."""
    if not path.exists():
        return None
    state: State = torch.load(path, weights_only=True)  # tensors and plain values: nothing in it is run
    return state


def save_state(state: State, path: Path) -> None:
    """Write aside and move: a kill leaves the old state whole."""
    aside = path.with_suffix(".tmp")
    torch.save(state, aside)
    os.replace(aside, path)


def train_here(job: Job, dataset: Any, storage: Path, resume: bool) -> FullScorer:
    """Train in this process, with the state kept in `storage` so that `resume` can go on from there."""
    storage.mkdir(parents=True, exist_ok=True)
    saved = storage / "state.pt"
    if job.fit.threads:
        torch.set_num_threads(job.fit.threads)

    def keep(make: Callable[[], State], step: int) -> None:
        save_state(make(), saved)

    def epoch_done(row: dict[str, Any], make: Callable[[], State]) -> None:
        note(row)
        save_state(make(), saved)

    feed: Batches
    if job.paths is not None:
        feed = ParquetFeed(job.paths, job.schema, job.fit.batch_requests, job.fit.shuffle_requests, job.fit.seed)
    else:
        feed = stream_feed(
            lambda epoch: arrow_tables(dataset, job),
            job.schema,
            job.fit.batch_requests,
            job.fit.shuffle_requests,
            job.fit.seed,
        )
    model = build_model(job, sparse=True)
    hooks = Hooks(on_step=job.on_step, on_checkpoint=keep, on_epoch=epoch_done)
    result = fit(
        model,
        feed,
        held_out_batches(job),
        job.fit,
        total_steps=total_steps(job, 1),
        resume=load_state(saved) if resume else None,
        hooks=hooks,
    )
    return finish(job, model, result)
