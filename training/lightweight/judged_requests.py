"""What judges a client's new trees: requests that they never saw, and their scores of them.

That is what the log holds out. Where that is little, and nothing serves that has learnt from the log, the requests
before it judge too, each by trees that were fitted without it (cross-validation; Stone, 1974): NDCG over twenty
requests has an interval of a tenth or more either way, by which a gate draws lots. An incumbent has learnt from them
or has put them into the order that they were acted on in: to it they would be no fair judges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cluster.settings.clients import Client
from cluster.settings.project import GbdtSettings
from training.judge.lightweight import tells_orders_apart, worth_of
from training.judge.orders import booster_order
from training.lightweight.cross_fit import jobs_without
from training.lightweight.examples import ClientExamples
from training.lightweight.fit import fit_all
from training.lightweight.held_out import requests_in_folds
from training.lightweight.jobs import FitJob
from training.log.arrays import Request
from training.log.moments import Moments
from training.log.requests import Joined
from training.log.tasks import LogWindow

ENOUGH = 150
"""Held-out requests that tell orders apart from which on they judge alone: the standard error of a difference in NDCG
is about the gate's tolerance then (.25 / √150 = .02)."""

FOLDS = 5
"""Parts of the training time that judge where more is needed, so each has trees of four fifths of it."""


@dataclass(frozen=True)
class JudgedRequests:
    """Requests of one client and the scores of its new trees, float32[n] each; `crossed` of them by folds."""

    requests: list[Request] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    crossed: int = 0

    def joined(self, later: "JudgedRequests") -> "JudgedRequests":
        """Both, the later ones behind."""
        crossed = self.crossed + later.crossed
        return JudgedRequests(self.requests + later.requests, self.scores + later.scores, crossed)


def held_out_scored(model: bytes, features: Sequence[str], held: Sequence[Request]) -> JudgedRequests:
    """The held-out requests, by a model's trees."""
    return JudgedRequests(list(held), booster_order(model, features)(held))


def too_few(held: Sequence[Request], client: Client, actions: Sequence[str], enough: int = ENOUGH) -> bool:
    """Whether a client's held-out requests cannot judge alone."""
    worth = worth_of(client, actions)
    return sum(tells_orders_apart(request, worth) for request in held) < enough


def cross_judged(
    joined: Joined,
    examples: Mapping[str, ClientExamples],
    settings: Mapping[str, GbdtSettings],
    storage: str | None = None,
) -> dict[str, JudgedRequests]:
    """Of each client, its training requests, each scored by trees of the others. Ray must be running.

    A client whose parts could not teach one another has none.
    """
    parts: dict[str, tuple[LogWindow, ...]] = {}
    jobs: dict[str, list[FitJob]] = {}
    for name, one in examples.items():
        windows = _parts(one.times)
        if made := jobs_without(one, settings[name], windows):
            parts[name], jobs[name] = windows, made
    if not jobs:
        return {}
    fitted = iter(fit_all([job for made in jobs.values() for job in made], joined.project.gbdt, storage))
    trees = {name: [next(fitted).model for _ in made] for name, made in jobs.items()}
    found = requests_in_folds(joined, parts)
    out = {}
    for name, models in trees.items():
        judged = JudgedRequests()
        for model, requests in zip(models, found[name], strict=True):
            scores = booster_order(model, examples[name].features)(requests)
            judged = judged.joined(JudgedRequests(requests, scores, len(requests)))
        out[name] = judged
    return out


def _parts(times: Moments) -> tuple[LogWindow, ...]:
    """Folds of some moments, which begin and end with them."""
    if not len(times):
        return ()
    ends = LogWindow(times.first[0], times.last.max() + np.timedelta64(1, "us"))
    return tuple(fold.within(ends) for fold in times.folds(FOLDS))
