"""How many trees, where few requests can tell: by all of them, fold after fold, and not by the latest alone.

The latest fifty requests end the boosting by luck: on one log of 340 answers they asked for 12 trees where others did
for 266, and the dozen were worth a fifth less (docs/experiments/sources.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from training.lightweight.examples import ClientExamples
from training.lightweight.jobs import FitJob, Fitted

FEW = 2_000
"""Requests of a client up to which all of them tell how many trees; of more, the latest are enough."""

FOLDS = 5
LEAST_ACTIONS = 50
"""Examples with an action: fewer may all lie in one fold."""

Fit = Callable[[Sequence[FitJob]], list[Fitted]]
"""Fits jobs, in their order."""


def fit_by_folds(jobs: Sequence[FitJob], examples: Mapping[str, ClientExamples], fit: Fit) -> list[Fitted]:
    """The trees of each job, all in one call of `fit`; as many of them as the folds say, where there are any."""
    folds = [fold_jobs(job, examples[job.client]) for job in jobs]
    every = iter(fit([*jobs, *chain.from_iterable(folds)]))
    once = [next(every) for _ in jobs]
    return [with_rounds(one, [next(every) for _ in mine]) for one, mine in zip(once, folds, strict=True)]


def fold_jobs(job: FitJob, examples: ClientExamples) -> list[FitJob]:
    """The job with each fold of its time as what stops the boosting; none where the latest requests are enough.

    Nor for a ranking, which is chosen where there are more requests, nor where actions are too few for every fold.
    """
    if len(examples.times) > FEW or job.ranks or examples.counts["train"].get("action", 0) < LEAST_ACTIONS:
        return []
    windows = examples.times.folds(FOLDS)
    return [replace(job, split=job.split.stopped_by(window)) for window in windows] if len(windows) > 1 else []


def with_rounds(fitted: Fitted, folds: Sequence[Fitted]) -> Fitted:
    """The number of trees with the least mean loss over the folds, as far as all of them were boosted."""
    curves = [fold.curve for fold in folds if fold.curve]
    if not curves or not np.isfinite(fitted.loss):
        return fitted
    known = min(map(len, curves))
    mean = np.mean([curve[:known] for curve in curves], axis=0)
    best = int(mean.argmin())
    return replace(fitted, rounds=best + 1, loss=float(mean[best]), curve=tuple(mean.tolist()))
