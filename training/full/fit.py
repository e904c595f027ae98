"""Fits one network on written rows. Loads torch only when called."""

from pathlib import Path
from typing import Any

from cluster.errors import ModelError
from cluster.settings.project import RankerSettings
from training.full.parts import Parts
from training.full.plan import NetworkPlan
from training.ranker.batch import RankerSchema


def on_gpu(settings: RankerSettings, gpus: float) -> bool:
    """Whether a cluster with so many GPUs trains on them. Raises ModelError when it must and cannot."""
    if settings.use_gpu == "yes" and gpus < 1:
        raise ModelError("ranker.use_gpu is yes and the cluster has no GPU: add one, or set it to auto")
    return settings.use_gpu != "no" and gpus >= 1


def fit_plan(
    plan: NetworkPlan, schema: RankerSchema, parts: Parts, out: Path, workers: int = 0, use_gpu: bool = False
) -> dict[str, Any]:
    """Fit on the rows of `parts` and leave the model in `out` (FullScorer.open); its metrics.

    `workers` 0 fits in this process, without Ray. Raises ModelError when the fit fails.
    """
    from training.ranker.trainer import RunPlan, train_full

    run = RunPlan(num_workers=workers, use_gpu=use_gpu, storage=out.with_name(f"{out.name}-checkpoints"))
    return train_full(parts.train, schema, plan.model, plan.fit, out, validation=parts.valid, plan=run)
