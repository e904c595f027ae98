"""Fits one network on written rows. Loads torch only when called."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.errors import ModelError
from cluster.settings.project import RankerSettings
from cluster.settings.resources import not_there
from training.full.parts import Parts
from training.full.plan import NetworkPlan
from training.ranker.batch import RankerSchema

log = logging.getLogger(__name__)


def beside_cpus(settings: RankerSettings, cluster: Mapping[str, float]) -> dict[str, float]:
    """What each worker asks for beside CPUs, on a cluster with such resources: GPUs, and custom resources.

    A custom resource that no node has now may come with a node that the autoscaler starts, so it is a warning. Raises
    ModelError when GPUs must be used and there are too few.
    """
    gpus = cluster.get("GPU", 0.0)
    if settings.use_gpu == "yes" and gpus < settings.gpus:
        told = f"has {gpus:g} GPUs of {settings.gpus:g}" if gpus else "has no GPU"
        raise ModelError(f"ranker.use_gpu is yes and the cluster {told}: add one, or set it to auto")
    if absent := not_there(settings.resources, [cluster]):
        log.warning("ranker.resources: %s: training waits until one does", absent)
    using = settings.use_gpu != "no" and gpus >= settings.gpus
    return {**({"GPU": settings.gpus} if using else {}), **settings.resources}


def fit_plan(
    plan: NetworkPlan,
    schema: RankerSchema,
    parts: Parts,
    out: Path,
    workers: int = 0,
    reserve: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Fit on the rows of `parts` and leave the model in `out` (FullScorer.open); its metrics.

    `workers` 0 fits in this process, without Ray; others ask for `reserve` each, beside CPUs.
    Raises ModelError when the fit fails.
    """
    from training.ranker.trainer import RunPlan, train_full

    run = RunPlan(num_workers=workers, reserve=reserve or {}, storage=out.with_name(f"{out.name}-checkpoints"))
    return train_full(parts.train, schema, plan.model, plan.fit, out, validation=parts.valid, plan=run)
