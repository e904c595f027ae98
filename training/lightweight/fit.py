"""Fits the lightweight rankers' trees: Ray Train's XGBoostTrainer around `fit_one`, several clients in one call.

Starting a Ray Train run costs seconds (controller, worker, imports) and fitting a client of a small log less than one,
so one run fits many clients one after the other, in Ray Train's local mode (this process) as long as they are small;
runs go side by side only where the cluster has CPUs for them. Workers take their blocks from the object store: no Ray
Data task runs beside them that they could starve. Nothing is reported while boosting (each report costs a poll of the
controller); the models come back as the run's return value.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cluster.data.files import filesystem
from cluster.errors import ModelError
from cluster.progress import Progress, silent
from cluster.settings.project import GbdtSettings
from cluster.settings.resources import not_there
from training.lightweight.blocks import ExampleRows
from training.lightweight.examples import ClientExamples
from training.lightweight.jobs import AFTER_SHARE, FitJob, Fitted, example_rows, finish, given, parameters, plan_lanes
from training.lightweight.rounds import Fit, fit_by_folds
from training.lightweight.splits import TRAIN, VALID
from training.lightweight.xgboost_ray import fit_jobs

log = logging.getLogger(__name__)

LOCAL_ROWS = 1_000_000
"""Examples of all clients together up to which a fit stays in this process: boosting them takes about as long as
starting a worker."""

BATCH_ROWS = 400_000
"""Rows that XGBoost bins at once: with a quarter of them, building a matrix took a seventh longer."""


def fit_clients(
    examples: Mapping[str, ClientExamples],
    settings: GbdtSettings,
    progress: Progress = silent,
    storage: str | None = None,
    local_rows: int = LOCAL_ROWS,
    chosen: Mapping[str, GbdtSettings] | None = None,
) -> dict[str, Fitted]:
    """One GBDT for each client, on the backend that `settings` names. Ray must be running.

    `chosen` are the settings of the clients whose trees differ from `settings`. `storage` is where Ray Train keeps its
    run state; on several hosts it must be one that they all reach. Raises ModelError when a client has nothing to learn
    from or a worker fails.
    """
    for one in examples.values():
        one.require_learnable()
    jobs = [FitJob.of(one, (chosen or {}).get(name, settings)) for name, one in examples.items()]
    progress("fit", 0.0)
    fit = partial(fit_all, settings=settings, storage=storage, local_rows=local_rows)
    own = settings.backend != "xgboost-ray"  # that one says nothing of each round
    fitted = _on_all(jobs, fit_by_folds(jobs, examples, fit), fit) if own else fit(jobs)
    progress("fit", 1.0)
    return {f.client: f for f in fitted}


def _on_all(jobs: Sequence[FitJob], fitted: Sequence[Fitted], fit: Fit) -> list[Fitted]:
    """The trees once more on all of their requests: the later ones, which told how many are best, are the newest."""
    stopped = [at for at, one in enumerate(fitted) if np.isfinite(one.loss)]
    again = fit([jobs[at].on_all(fitted[at]) for at in stopped])
    out = list(fitted)
    for at, one in zip(stopped, again, strict=True):
        out[at] = replace(fitted[at], model=one.model, rows=one.rows, seconds=fitted[at].seconds + one.seconds)
    return out


def fit_all(
    jobs: Sequence[FitJob], settings: GbdtSettings, storage: str | None = None, local_rows: int = LOCAL_ROWS
) -> list[Fitted]:
    """The trees of each job, in their order; `settings` say on which backend and with how many workers."""
    if not jobs:
        return []
    if settings.backend == "xgboost-ray":
        return fit_jobs(jobs)
    return _fit_lanes(jobs, settings, storage, local_rows)


def fit_one(job: FitJob, blocks: Callable[[], Iterable[Any]], rank: int = 0, world: int = 1) -> Fitted:
    """Boost one client's trees in this process, from a restartable stream of Arrow blocks.

    The blocks are binned as they stream by (XGBoost's QuantileDMatrix): the float matrix never stands in memory as a
    whole. With `world` > 1 each worker takes every world-th request, inside XGBoost's collective.
    """
    import xgboost as xgb

    started = time.perf_counter()
    settings = job.settings
    threads = max(1, int(settings.cpus_per_worker))

    def matrix(objective: str, role: int, ref: Any = None) -> Any:
        class Stream(xgb.DataIter):
            def __init__(self) -> None:
                super().__init__()
                self.reset()

            def reset(self) -> None:
                self._left = _batches(job, role, blocks(), rank, world)

            def next(self, input_data: Callable[..., Any]) -> bool:
                rows = next(self._left, None)
                if rows is None:
                    return False
                input_data(data=rows.x, feature_names=list(job.features), **given(objective, rows))
                return True

        return xgb.QuantileDMatrix(Stream(), max_bin=settings.max_bin, ref=ref, nthread=threads)

    if not any(True for _ in example_rows(job, TRAIN, blocks())):
        raise ModelError(
            f"client {job.client}: no request has examples of several worths, so there is no order to learn: log "
            "candidates without an action too (labels.table.unimpressed_label), or set gbdt.objective: logistic"
        )
    has_valid = sum(len(rows.group) for rows in example_rows(job, VALID, blocks())) >= world
    booster: Any = None
    log: dict[str, Any] = {}
    before = rows = 0
    for phase, objective in enumerate(job.phases):
        train = matrix(objective, TRAIN)
        valid = matrix(objective, VALID, train) if has_valid else None
        before = 0 if booster is None else booster.num_boosted_rounds()
        rows, log = int(train.num_row()), {}
        most = max(1, round(settings.rounds * AFTER_SHARE)) if before else settings.rounds
        booster = xgb.train(
            parameters(settings, objective, threads, job.features),
            train,
            job.rounds[phase] if job.rounds else most,
            evals=[(valid, "valid")] if has_valid else [],
            evals_result=log,
            early_stopping_rounds=settings.early_stopping_rounds if has_valid else None,
            verbose_eval=False,
            # As bytes: a Booster brings its metric along, which would read weights of rows where there are of requests.
            xgb_model=None if booster is None else bytearray(booster.save_raw("ubj")),
        )
        if objective != job.objective and has_valid:
            booster = booster[: booster.best_iteration + 1]
    return finish(job, booster, log, rows, time.perf_counter() - started, "ray-train", before)


def _batches(job: FitJob, role: int, blocks: Iterable[Any], rank: int, world: int) -> Iterator[ExampleRows]:
    """Every world-th request's examples, some `BATCH_ROWS` at a time: a request is never parted."""
    parts: list[ExampleRows] = []
    seen = 0
    for rows in example_rows(job, role, blocks):
        number = seen + np.arange(len(rows.group))
        seen += len(rows.group)
        mine = rows.only(number % world == rank)
        if len(mine.group):
            parts.append(mine)
        if sum(len(part.x) for part in parts) >= BATCH_ROWS:
            yield ExampleRows.joined(parts)
            parts = []
    if parts:
        yield ExampleRows.joined(parts)


def _worker(config: dict[str, Any]) -> list[Fitted]:
    """What each Ray Train worker runs; rank 0's return value is the run's."""
    import ray
    import ray.train

    context = ray.train.get_context()
    out = []
    for job in config["jobs"]:

        def blocks(refs: Sequence[Any] = job.blocks) -> Iterable[Any]:
            return (ray.get(ref) for ref in refs)

        out.append(fit_one(job, blocks, context.get_world_rank(), context.get_world_size()))
    return out


def run_trainer(
    jobs: Sequence[FitJob], workers: int, reserve: Mapping[str, float], storage: str | None
) -> list[Fitted]:
    """One Ray Train run that fits `jobs` one after the other; without workers in this process.

    Each worker reserves `reserve`, by Ray's names.
    """
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # default 2: how long a finished worker waits
    import ray.train
    from ray.train.xgboost import XGBoostTrainer

    name = f"lightweight-{time.time_ns()}"
    with tempfile.TemporaryDirectory(prefix="pinfunnel-train-") as folder:
        trainer = XGBoostTrainer(
            _worker,
            train_loop_config={"jobs": list(jobs)},
            scaling_config=ray.train.ScalingConfig(
                num_workers=workers, resources_per_worker=dict(reserve) if workers else None
            ),
            run_config=ray.train.RunConfig(name=name, storage_path=storage or folder),
        )
        try:
            fitted: list[Fitted] | None = trainer.fit().return_value
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            raise ModelError(f"fitting {', '.join(j.client for j in jobs)} failed on Ray: {lines[-1]}") from error
        finally:
            if storage:  # the models have come back by value
                with suppress(OSError):
                    system, below = filesystem(storage)
                    system.delete_dir(f"{below}/{name}")
    if fitted is None:
        raise ModelError(
            f"fitting {', '.join(j.client for j in jobs)} on Ray ended without models: see the worker's log"
        )
    return fitted


def _fit_lanes(jobs: Sequence[FitJob], settings: GbdtSettings, storage: str | None, local_rows: int) -> list[Fitted]:
    """Split the clients over as many runs as the cluster's CPUs carry, largest clients first."""
    import ray

    if settings.workers == 1 and sum(j.rows for j in jobs) <= local_rows:
        return run_trainer(jobs, 0, {}, storage)

    total = float(ray.cluster_resources().get("CPU", 1))
    free = float(ray.available_resources().get("CPU", 0))
    lanes, cpus = plan_lanes(len(jobs), total, free, settings)
    if settings.workers == 1 and cpus <= 0:  # no CPU is free: a worker would not be placed
        return run_trainer(jobs, 0, {}, storage)
    if absent := not_there(settings.resources, [ray.cluster_resources()]):
        log.warning("gbdt.resources: %s: training waits until one does", absent)
    reserve = {"CPU": cpus, **settings.resources}
    if lanes == 1:
        return run_trainer(jobs, settings.workers, reserve, storage)
    ordered = sorted(range(len(jobs)), key=lambda i: -jobs[i].rows)
    task = ray.remote(num_cpus=0)(run_trainer)
    shares = [ordered[lane::lanes] for lane in range(lanes)]
    runs = [task.remote([jobs[i] for i in share], settings.workers, reserve, storage) for share in shares]
    found = {
        i: one for share, run in zip(shares, ray.get(runs), strict=True) for i, one in zip(share, run, strict=True)
    }
    return [found[i] for i in range(len(jobs))]
