"""Pieces of a replay as Ray tasks: each worker process maps the past and the graph, and writes its own files.

Ray runs a task again when its process dies; a piece done twice overwrites itself, so nothing is doubled.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from apps.backfill.piece import Backfilled, PieceWriter, ReplayJob, ReplayPiece
from apps.backfill.shown import KnownPast
from cluster.errors import PinfunnelError

TRIES_AGAIN = 3
"""How often the piece of a dead worker is tried again."""


def cpus_each(cpus: float, workers: int) -> float:
    """CPU slots of a worker: one, or an equal part (in hundredths) of all but the one that stays free for others."""
    return min(1.0, max(1, int(100 * (cpus - 1) / workers)) / 100)


@contextmanager
def workers_up(workers: int | None) -> Iterator[int]:
    """Ray for as long as it is needed, and how many workers there are: those asked for, or one for each of its CPUs.

    One worker needs no Ray, and gets none.
    """
    if workers == 1:
        yield 1
        return
    from cluster import session

    with session.session(dashboard=False):
        import ray

        yield workers or int(ray.cluster_resources().get("CPU", 1.0))


def replay_piece(job: bytes, past: KnownPast, piece: ReplayPiece, graph: str) -> Backfilled:
    """The task: one piece by a pickled `ReplayJob`; the process keeps what it has opened for the next one."""
    return _writer(job)(past, piece, graph)


@lru_cache(maxsize=1)
def _writer(job: bytes) -> PieceWriter:
    return PieceWriter(pickle.loads(job))  # nosec B301: from the process that started this task


def replay_on_ray(
    job: ReplayJob, past: KnownPast, work: Iterator[tuple[ReplayPiece, str]], workers: int, task: Any = replay_piece
) -> Iterator[tuple[ReplayPiece, Backfilled]]:
    """Pieces as they are done, with `workers` at work at a time. Ray must be up.

    Raises what a piece raises, and PinfunnelError when a piece ends its process again and again.
    """
    import ray

    cpus = cpus_each(ray.cluster_resources().get("CPU", 1.0), workers)
    remote = ray.remote(num_cpus=cpus, max_retries=TRIES_AGAIN)(task)
    shared, told = ray.put(past), pickle.dumps(job)
    running: dict[Any, ReplayPiece] = {}
    try:
        for piece, graph in work:
            while len(running) >= workers:  # the graph of the next slice is built while all of them work
                yield _first(running)
            running[remote.remote(told, shared, piece, graph)] = piece
        while running:
            yield _first(running)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _first(running: dict[Any, ReplayPiece]) -> tuple[ReplayPiece, Backfilled]:
    """Waits for one of `running`, takes it out, and returns it with its figures."""
    import ray

    (ready,), _ = ray.wait(list(running), num_returns=1)
    piece = running.pop(ready)
    try:
        return piece, ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise PinfunnelError(
            f"backfill: the process that replayed piece {piece.number} died {TRIES_AGAIN + 1} times (out of memory?): "
            "run the same command again, with fewer --workers; it goes on where it was"
        ) from error
