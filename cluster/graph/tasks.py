"""Runs the unfinished tasks of a build's step with Ray Data. Knows nothing of what they do."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from cluster.errors import DataError, PinfunnelError
from cluster.graph.partition import PartitionPlan
from cluster.progress import Progress

Task = Callable[[], dict[str, Any]]


def run_step(plan: PartitionPlan, step: str, tasks: Sequence[Task], progress: Progress) -> list[dict[str, Any]]:
    """Runs the unfinished tasks of a step with Ray Data, one a CPU; returns what every task noted, in order.

    Raises DataError for a fault in the input.
    """
    todo = [at for at in range(len(tasks)) if not plan.done(step, at)]
    progress(step, 1 - len(todo) / max(len(tasks), 1))
    if todo:
        plan.path(step, 0).parent.mkdir(parents=True, exist_ok=True)
        with quiet():
            work = ray.data.from_items([{"at": at} for at in todo], override_num_blocks=len(todo))
            faults = work.map(_Attempt(plan, step, list(tasks)), num_cpus=1)
            for done, row in enumerate(faults.iter_rows(), 1):
                if row["fault"]:
                    raise DataError(row["fault"])
                progress(step, 1 - (len(todo) - done) / len(tasks))
    return [plan.facts(step, at) for at in range(len(tasks))]


@contextmanager
def quiet() -> Iterator[None]:
    """Ray Data without its bars and chatter: progress goes to the caller's function, and faults come back as errors."""
    context = ray.data.DataContext.get_current()
    logger = logging.getLogger("ray.data")
    shown = context.enable_progress_bars
    level = logger.level
    context.enable_progress_bars = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = shown
        logger.setLevel(level)


class _Attempt:
    """Runs one task in a worker; a fault in the user's data comes back as text instead of a traceback."""

    def __init__(self, plan: PartitionPlan, step: str, tasks: list[Task]) -> None:
        self._plan = plan
        self._step = step
        self._tasks = tasks

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if not Path(self._plan.scratch, "plan.json").exists():
            fix = "set `home` in pinfunnel.yaml to a folder that all nodes share"
            return {"fault": f"a worker cannot see {self._plan.scratch}: {fix}"}
        try:
            self._tasks[row["at"]]()
        except PinfunnelError as error:
            return {"fault": str(error)}
        return {"fault": ""}
