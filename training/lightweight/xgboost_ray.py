"""The same fit through xgboost-ray (last release 0.1.19, xgboost 2.0.3). Used only for `gbdt.backend: xgboost-ray`.

xgboost-ray starts its own actors and shards rows over them; it holds each client's float matrix in memory.
"""

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.errors import ConfigError, ModelError
from training.lightweight.blocks import ExampleRows
from training.lightweight.jobs import FitJob, Fitted, example_rows, finish, given, parameters, plan_lanes
from training.lightweight.splits import TRAIN, VALID


def fit_jobs(jobs: Sequence[FitJob]) -> list[Fitted]:
    """Fit the jobs one after the other. Raises ConfigError without the extra, ModelError when a run fails."""
    require_backend("xgboost-ray")
    return [_fit(job) for job in jobs]


def _fit(job: FitJob) -> Fitted:
    import ray
    from xgboost_ray import RayDMatrix, RayParams, train

    started = time.perf_counter()

    settings = job.settings

    def matrix(role: int) -> tuple[Any, int]:
        parts = list(example_rows(job, role, (ray.get(block) for block in job.blocks)))
        if not parts:
            return None, 0
        rows = ExampleRows.joined(parts)
        return RayDMatrix(rows.x, feature_names=list(job.features), **_told(job, rows)), len(rows.x)

    data, rows = matrix(TRAIN)
    valid, held = matrix(VALID)
    watched = [(valid, "valid")] if held >= settings.workers else []
    threads = max(1, int(settings.cpus_per_worker))
    total = float(ray.cluster_resources().get("CPU", 1))
    _, reserve = plan_lanes(1, total, float(ray.available_resources().get("CPU", 0)), settings)
    if reserve < threads:
        raise ModelError(
            f"gbdt.backend xgboost-ray reserves whole CPUs and needs {settings.workers * threads} besides one for "
            f"others, of {total:g}: free some, or set gbdt.backend: ray-train"
        )
    log: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`num_actors`")  # one actor is what was asked for
            booster = train(
                {k: v for k, v in parameters(settings, job.objective, threads, job.features).items() if k != "nthread"},
                data,
                num_boost_round=settings.rounds,
                evals=watched,
                evals_result=log,
                early_stopping_rounds=settings.early_stopping_rounds if watched else None,
                verbose_eval=False,
                ray_params=RayParams(
                    num_actors=settings.workers, cpus_per_actor=threads, resources_per_actor=settings.resources or None
                ),
            )
    except Exception as error:
        raise ModelError(f"fitting {job.client} through xgboost-ray failed: {str(error).splitlines()[0]}") from error
    return finish(job, booster, log, rows, time.perf_counter() - started, "xgboost-ray")


def _told(job: FitJob, rows: ExampleRows) -> dict[str, np.ndarray]:
    """What RayDMatrix takes of the rows: it knows requests by number, and no weights of them.

    Raises ConfigError where that is not what the settings ask for: it shards rows, and would part requests.
    """
    told = given(job.objective, rows)
    if not job.ranks:
        return told
    if job.settings.workers > 1 or len(job.phases) > 1 or np.ptp(told["weight"]) > 0:
        raise ConfigError(
            f"client {job.client}: gbdt.backend xgboost-ray ranks with one worker and without weights of requests: set "
            "gbdt.objective: rank, gbdt.workers: 1 and labels.request_balance: 1, or gbdt.backend: ray-train"
        )
    return {"label": told["label"], "qid": np.repeat(np.arange(len(rows.group)), rows.group)}


def require_backend(name: str) -> None:
    """Raises ConfigError when the backend's packages are not installed."""
    if name == "xgboost-ray":
        try:
            import xgboost_ray  # noqa: F401
        except ImportError:
            raise ConfigError(
                "gbdt.backend is xgboost-ray, which is not installed: make an environment of its own as "
                "constraints-xgboost-ray.txt says (it needs xgboost 2.0.3), or set gbdt.backend: ray-train"
            ) from None
