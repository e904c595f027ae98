"""Runs a batch: notes it, builds what is known of users, and has all pieces answered, here or by Ray Data's actors."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.backfill.workers import cpus_each
from apps.batch.answerer import Answerer, PieceDone
from apps.batch.plan import BatchPlan, left
from apps.project import Opened
from cluster.progress import Counted
from serving.deploy.process import Process
from serving.logs.known_events import KnownEvents
from serving.logs.shard import WHOLE
from serving.logs.stored_events import StoredEvents
from serving.logs.user_state import UserStates


@dataclass(frozen=True)
class BatchDone:
    """All pieces of a run; `before` of them were there already."""

    pieces: int
    before: int
    answered: int
    degraded: int
    failed: int
    errors: tuple[str, ...]


def run_batch(
    opened: Opened, plan: BatchPlan, ids: np.ndarray, out: Path, workers: int, progress: Counted
) -> BatchDone:
    """Answers what is not answered yet. `workers` > 1 needs a Ray that is up. Raises BundleError, OSError."""
    todo = left(out, plan)
    before = plan.pieces - len(todo)
    done: list[PieceDone] = []
    progress(before, plan.pieces)
    with known_states(opened, plan) as states:
        job = opened, plan, out, states
        pieces = on_ray(job, ids, todo, workers) if workers > 1 else here(job, ids, todo)
        for one in pieces:
            done.append(one)
            progress(before + len(done), plan.pieces)
    return BatchDone(
        plan.pieces,
        before,
        sum(one.answered for one in done),
        sum(one.degraded for one in done),
        sum(one.failed for one in done),
        tuple(error for one in done for error in one.errors)[:3],
    )


@contextmanager
def known_states(opened: Opened, plan: BatchPlan) -> Iterator[Path | None]:
    """A folder with what the event log says of every user now, that all nodes see; nothing where no user asks."""
    if plan.kind == "pin":
        yield None
        return
    process = opened.new_process()
    above = Path(opened.project.local_home) / "batch"
    above.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="states-", dir=above))
    try:
        yield _write_states(process, folder / "users")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_states(process: Process, folder: Path) -> Path:
    project = process.project
    remember, hidden = project.features.remembered, project.serving.hidden_per_user
    states = UserStates(project.negative_actions, remember, hidden, folder)
    stored = StoredEvents(process.logs, project.ids, process.forgotten)
    states.rebuild(lambda: stored.each(WHOLE, KnownEvents(1), 1))
    states.close()
    return folder


def here(job: tuple[Any, ...], ids: np.ndarray, todo: list[int]) -> Iterator[PieceDone]:
    """In this process, one after another."""
    answerer = Answerer(*job)
    try:
        for piece in todo:
            yield answerer.answer_piece(piece, answerer.plan.ids_of(piece, ids))
    finally:
        answerer.close()


def on_ray(job: tuple[Any, ...], ids: np.ndarray, todo: list[int], workers: int) -> Iterator[PieceDone]:
    """By actors of Ray Data, as they are done. A piece whose actor dies is answered again: it overwrites itself."""
    import ray
    import ray.data

    cpus = cpus_each(ray.cluster_resources().get("CPU", 1.0), workers)
    shared = ray.put(ids)
    pieces = ray.data.from_items([{"piece": piece} for piece in todo], override_num_blocks=max(1, len(todo)))
    answered = pieces.map_batches(
        PieceActor,
        fn_constructor_args=(job, shared),
        batch_size=1,
        concurrency=(1, min(workers, max(1, len(todo)))),
        num_cpus=cpus,
    )
    for row in answered.iter_rows():
        yield PieceDone(row["piece"], row["answered"], row["degraded"], row["failed"], tuple(row["errors"]))


class PieceActor:
    """A Ray Data actor: holds the mapped graph and the models, and answers piece after piece."""

    def __init__(self, job: tuple[Any, ...], ids: Any) -> None:
        import ray

        self._answerer = Answerer(*job)
        self._ids: np.ndarray = ray.get(ids) if isinstance(ids, ray.ObjectRef) else ids

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """One row a piece."""
        plan = self._answerer.plan
        done = [self._answerer.answer_piece(p, plan.ids_of(p, self._ids)) for p in batch["piece"].tolist()]
        return {
            "piece": np.array([one.piece for one in done]),
            "answered": np.array([one.answered for one in done]),
            "degraded": np.array([one.degraded for one in done]),
            "failed": np.array([one.failed for one in done]),
            "errors": [list(one.errors) for one in done],
        }
