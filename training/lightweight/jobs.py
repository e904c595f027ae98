"""What both backends of the lightweight rankers' fit share: the job, XGBoost's parameters, CPUs, the finished model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cluster.settings.project import GbdtSettings
from training.lightweight.portable import make_portable


@dataclass(frozen=True)
class Fitted:
    """One client's trees: `model` are UBJ bytes that xgboost 2.0 and 3.x load."""

    client: str
    model: bytes = field(repr=False)
    rounds: int
    loss: float  # on the later requests that stopped the boosting; NaN when there were none
    rows: int
    seconds: float  # inside the worker: matrices and boosting
    backend: str

    def save(self, path: str | Path) -> None:
        """Write the model; `.ubj`."""
        Path(path).write_bytes(self.model)


@dataclass(frozen=True)
class FitJob:
    """What a worker needs to fit one client."""

    client: str
    code: int
    features: tuple[str, ...]
    objective: str
    rows: int
    blocks: Sequence[Any] = field(repr=False)


def parameters(settings: GbdtSettings, objective: str, threads: int) -> dict[str, Any]:
    """XGBoost's parameters, the same on both backends."""
    return {
        "objective": objective,
        "eval_metric": "logloss" if objective == "binary:logistic" else "rmse",
        "tree_method": "hist",
        "max_bin": settings.max_bin,
        "max_depth": settings.max_depth,
        "learning_rate": settings.learning_rate,
        "min_child_weight": settings.min_child_weight,
        "colsample_bytree": settings.column_share,
        "seed": settings.seed,
        "nthread": threads,
    }


def plan_lanes(jobs: int, total: float, free: float, settings: GbdtSettings) -> tuple[int, float]:
    """(runs side by side, CPUs that each worker reserves). One CPU is always left to others.

    When less is free than a worker asks for, it reserves what there is: a run that waits for CPUs which a Serve
    application holds would wait for ever.
    """
    spare = max(min(total - 1.0, free), 0.0)
    each = settings.workers * settings.cpus_per_worker
    lanes = max(1, min(jobs, int(spare // each)))
    reserve = min(settings.cpus_per_worker, int(100 * spare / (lanes * settings.workers)) / 100)
    return lanes, reserve


def finish(job: FitJob, booster: Any, log: Mapping[str, Any], rows: int, seconds: float, backend: str) -> Fitted:
    """Cut the trees after the best round, name the features, write a model that both xgboost versions read."""
    stopped = next(iter(log.values()), None)
    losses = next(iter(stopped.values())) if stopped else []
    best = int(np.argmin(losses)) if len(losses) else booster.num_boosted_rounds() - 1
    if best + 1 < booster.num_boosted_rounds():
        booster = booster[: best + 1]
    booster.feature_names = list(job.features)
    model = make_portable(bytes(booster.save_raw("ubj")))
    loss = float(losses[best]) if len(losses) else float("nan")
    return Fitted(job.client, model, best + 1, loss, rows, seconds, backend)
