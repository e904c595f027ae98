"""Scores of a lightweight ranker for its own training requests, each from trees that never saw the request.

Whoever learns on top of a ranker's scores must see them as serving gives them: for requests that are new to the ranker.
A model's scores of the requests that it was fitted on look better than that. So the requests are cut into folds of
time, and each fold is scored by trees fitted on all others (stacking with out-of-fold predictions; Wolpert, 1992).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from cluster.errors import ModelError
from cluster.settings.clients import Client
from cluster.settings.project import GbdtSettings
from training.lightweight.examples import ClientExamples, build_examples
from training.lightweight.fit import fit_all
from training.lightweight.jobs import FitJob
from training.lightweight.splits import split_without
from training.log.arrays import Request
from training.log.requests import Joined
from training.log.tasks import LogWindow

FOLDS = 3
"""Models a client: each sees two thirds of its requests."""


@dataclass(frozen=True)
class CrossFitted:
    """One client's scorer of requests of any time. Picklable: models travel as UBJ bytes.

    `models` has one more than `cuts`: the trees of the requests before the first cut, between two, and so on. From
    `until` on, where no model was trained, `final` scores: the model that serves, or one of all the requests.
    """

    features: tuple[str, ...]
    cuts: np.ndarray  # datetime64[us][folds - 1]
    models: tuple[bytes, ...] = field(repr=False)
    until: np.datetime64 | None
    final: bytes = field(repr=False)

    def margins(self, request: Request, at: np.datetime64) -> np.ndarray:
        """float32[n]: margins of the candidates of a request made at `at`, from trees that did not learn from it."""
        import xgboost as xgb

        matrix = xgb.DMatrix(request.matrix(), feature_names=list(self.features), nthread=1)
        margins: np.ndarray = self._booster(self.fold(at)).predict(matrix, output_margin=True)
        return margins

    def fold(self, at: np.datetime64) -> int:
        """The fold of a moment, whose trees score it; `len(models)` stands for the final model."""
        if self.until is not None and at >= self.until:
            return len(self.models)
        return int(np.searchsorted(self.cuts, at, side="right"))

    def _booster(self, fold: int) -> Any:
        import xgboost as xgb

        if fold not in self._loaded:
            self._loaded[fold] = xgb.Booster({"nthread": 1}, model_file=bytearray((*self.models, self.final)[fold]))
        return self._loaded[fold]

    @cached_property
    def _loaded(self) -> dict[int, Any]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_loaded"}


def cross_fit(
    joined: Joined,
    clients: Mapping[str, Client],
    windows: Mapping[str, LogWindow],
    settings: Mapping[str, GbdtSettings] | None = None,
    final: Mapping[str, bytes] | None = None,
    folds: int = FOLDS,
    storage: str | None = None,
) -> dict[str, CrossFitted]:
    """A scorer of each client, with folds of the requests in its window; clients with too few to learn from have none.

    `settings` are those of a client's trees where they are not the project's; `final` the model (UBJ) that serves it,
    where one is published: by default the trees of the whole window score what comes after. Ray must be running.
    """
    made = build_examples(joined, clients, windows)
    until = {name: windows[name].within(joined.span).until for name in made}
    return cross_fit_examples(made, joined.project.gbdt, until, settings, final, folds, storage)


def cross_fit_examples(
    examples: Mapping[str, ClientExamples],
    project: GbdtSettings,
    until: Mapping[str, np.datetime64 | None],
    settings: Mapping[str, GbdtSettings] | None = None,
    final: Mapping[str, bytes] | None = None,
    folds: int = FOLDS,
    storage: str | None = None,
) -> dict[str, CrossFitted]:
    """As `cross_fit`, of examples that are there; `until` is the end of each client's window."""
    settings, final = settings or {}, final or {}
    plans = {}
    for name, one in examples.items():
        if jobs := jobs_without(one, settings.get(name, project), one.times.folds(folds), whole=name not in final):
            plans[name] = jobs
    fitted = iter(fit_all([job for jobs in plans.values() for job in jobs], project, storage))
    out = {}
    for name, jobs in plans.items():
        models = [next(fitted).model for _ in jobs]
        last = final[name] if name in final else models.pop()
        cuts = np.array([job.split.without[0].since for job in jobs[1 : len(models)]], "datetime64[us]")
        out[name] = CrossFitted(examples[name].features, cuts, tuple(models), until[name], last)
    return out


def jobs_without(
    examples: ClientExamples, settings: GbdtSettings, parts: Sequence[LogWindow], whole: bool = False
) -> list[FitJob]:
    """The fits of a client: one without each part, then the `whole`, if wanted; none where one could not learn."""
    jobs = []
    for without in [(part,) for part in parts] + [()] * whole:
        less = examples.split_by(split_without(examples.times, without))
        try:
            less.require_learnable()
        except ModelError:
            return []
        jobs.append(FitJob.of(less, settings))
    return jobs if len(parts) > 1 else []
