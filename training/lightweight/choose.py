"""How a client's trees are boosted, chosen within its training log by the figure that the gate judges by.

What is best for ten thousand replayed requests is not for a hundred first answers, so `gbdt.objective: auto` lets the
log say it: the candidates of `GRID` are fitted on the requests before a cut and judged on those after it, at two cuts.
The first of the grid stands unless another is better beyond doubt. What the project's `gbdt` section names is not
chosen. Requests that are held out for the gate are not looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cluster.features.assemble import FeatureSet
from cluster.progress import Progress, silent
from cluster.settings.clients import Client
from cluster.settings.project import GbdtSettings
from training.judge.lightweight import NDCG_AT, LightweightReport, evaluate_lightweight
from training.judge.orders import Order, booster_order
from training.judge.position import PositionEffect
from training.lightweight.examples import ClientExamples
from training.lightweight.fit import fit_all
from training.lightweight.held_out import requests_in_folds
from training.lightweight.jobs import FitJob, Fitted
from training.lightweight.splits import split_without
from training.log.arrays import Request
from training.log.requests import Joined
from training.log.tasks import LogWindow

SHALLOW: Mapping[str, Any] = {"max_depth": 3, "min_child_weight": 10.0}
DEEP: Mapping[str, Any] = {
    "max_depth": 5,
    "min_child_weight": 10.0,
    "learning_rate": 0.08,
    "column_share": 0.7,
    "row_share": 0.8,
}

GRID: Mapping[str, Mapping[str, Any]] = {
    "logistic, depth 3": {"objective": "logistic", **SHALLOW},
    "logistic, depth 5": {"objective": "logistic", **DEEP},
    "rank, depth 3": {"objective": "rank", **DEEP, "max_depth": 3},
    "rank, depth 5": {"objective": "rank", **DEEP},
}
"""The candidates, by name; the first is what a client gets whose log cannot say."""

ON_REQUEST: Mapping[str, Mapping[str, Any]] = {
    "both, depth 3": {"objective": "both", **SHALLOW},
    "both, depth 5": {"objective": "both", **DEEP},
}
"""Candidates of an objective that is tried where the project names it."""

FOLDS = 4
"""Parts of the training time; the third is judged by trees of the first two, the fourth by trees of the first three."""

JUDGED_FROM = 2
"""The first part that judges."""

MIN_JUDGED = 300
"""Judged requests that tell orders apart from which on a log may choose.

A first log of some hundred answers never can: it holds labels of what visit count put on top, and NDCG over those does
not see what deep trees do to the thousands that nobody was shown (docs/experiments/training.md).
"""

MOST_JUDGED = 1000
MOST_ROWS = 120_000
"""Judged requests of a client, and examples that one fit may see: beyond, requests are drawn, so a choice costs no more
on a log of a year than on one of a month."""


Positions = Callable[[str, Sequence[Request]], PositionEffect | None]
"""What positions did for the actions of a client's requests; None where nothing has learnt it."""


@dataclass(frozen=True)
class Choice:
    """One client's settings, which one they are of the grid, and why."""

    settings: GbdtSettings
    name: str
    reason: str
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)  # by candidate, of NDCG on the judged requests

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        chosen = self.settings.model_dump(include={"objective", *_TREES})
        return {"name": self.name, "reason": self.reason, "settings": chosen, "figures": self.figures}


_TREES = ("max_depth", "min_child_weight", "learning_rate", "column_share", "row_share")


def candidates(settings: GbdtSettings) -> dict[str, GbdtSettings]:
    """The grid by name, of the objective that a project names, if it does. Trees that it names grow as it says.

    A single candidate is no choice.
    """
    able = ("logistic", "rank") if settings.backend == "ray-train" else ("logistic",)  # the other ranks if told to
    wanted = able if settings.objective == "auto" else (settings.objective,)
    own = bool(settings.model_fields_set.intersection(_TREES))
    out: dict[str, GbdtSettings] = {}
    for name, changes in {**GRID, **ON_REQUEST}.items():
        objective = changes["objective"]
        if objective in wanted:
            known, update = (f"{objective}, as set", {"objective": objective}) if own else (name, changes)
            out.setdefault(known, settings.model_copy(update=dict(update)))
    return out


@dataclass(frozen=True)
class Trial:
    """Requests of some time, and the examples of the requests before it: what judges trees, and what fits them."""

    judged: LogWindow
    before: ClientExamples


def choose(
    joined: Joined,
    clients: Mapping[str, Client],
    examples: Mapping[str, ClientExamples],
    settings: GbdtSettings,
    progress: Progress = silent,
    storage: str | None = None,
    positions: Positions = lambda client, requests: None,
) -> dict[str, Choice]:
    """The choice of each client, from its examples and the requests in their window. Ray must be running.

    `positions` tells what positions did for actions, as the gate knows it; None: as exploration slots tell it.
    """
    grid = candidates(settings)
    out: dict[str, Choice] = {}
    trials: dict[str, list[Trial]] = {}
    for name, one in examples.items():
        made = trials_of(one) if (why := _settled(one, grid)) is None else []
        if why is None and any(trial.before.unlearnable() for trial in made):
            why = "its earlier requests teach nothing"
        if why is None:
            trials[name] = made
        else:
            out[name] = _first(grid, why)
    if trials:
        progress("choose", 0.0)
        fitted = _fit(trials, grid, settings, storage)
        judged = requests_in_folds(joined, {n: [t.judged for t in made] for n, made in trials.items()}, MOST_JUDGED)
        for at, name in enumerate(trials):
            out[name] = _of_client(joined, clients[name], grid, fitted[name], judged[name], positions)
            progress("choose", (at + 1) / len(trials))
    return {name: out[name] for name in examples}


def _settled(examples: ClientExamples, grid: Mapping[str, GbdtSettings]) -> str | None:
    """Why there is nothing to choose, None if there is."""
    if not examples.rule.strategy.classifies:
        return "its strategy gives values, which are regressed"
    if len(grid) == 1:
        return "the project's gbdt section says so"
    judged = len(examples.times) * (FOLDS - JUDGED_FROM) // FOLDS
    return None if judged >= MIN_JUDGED else _too_few(judged)


def trials_of(examples: ClientExamples) -> list[Trial]:
    """The later folds of a client's training time, each with the examples of all requests before it.

    Only the training time's: what comes after it is held out for the gate.
    """
    share = min(1.0, MOST_ROWS / max(examples.rows, 1))
    end = examples.times.last.max() + np.timedelta64(1, "us")
    out = []
    for fold in examples.times.folds(FOLDS)[JUDGED_FROM:]:
        split = split_without(examples.times, [LogWindow(since=fold.since)], share=share)
        out.append(Trial(fold.within(LogWindow(until=end)), examples.split_by(split)))
    return out


def _fit(
    trials: Mapping[str, list[Trial]], grid: Mapping[str, GbdtSettings], settings: GbdtSettings, storage: str | None
) -> dict[str, list[dict[str, Fitted]]]:
    """Client → trial → candidate → trees."""
    jobs = [FitJob.of(t.before, tried) for made in trials.values() for t in made for tried in grid.values()]
    fitted = iter(fit_all(jobs, settings, storage))
    return {client: [{name: next(fitted) for name in grid} for _ in made] for client, made in trials.items()}


def _of_client(
    joined: Joined,
    client: Client,
    grid: Mapping[str, GbdtSettings],
    fitted: list[dict[str, Fitted]],
    judged: list[list[Request]],
    positions: Positions,
) -> Choice:
    features = FeatureSet.of(joined.project.features)
    orders: dict[str, Order] = {}
    for name in grid:
        scores: list[np.ndarray] = []
        for trees, requests in zip(fitted, judged, strict=True):
            scores += booster_order(trees[name].model, features.names)(requests)
        orders[name] = _known(scores)
    everything = [request for requests in judged for request in requests]
    effect = positions(client.name, everything)
    report = evaluate_lightweight(everything, client, joined.project.actions, features, orders, effect=effect)
    return decide(grid, report, {name: [trees[name].rounds for trees in fitted] for name in grid})


def _known(scores: list[np.ndarray]) -> Order:
    return lambda _: scores


def decide(grid: Mapping[str, GbdtSettings], report: LightweightReport, rounds: Mapping[str, list[int]]) -> Choice:
    """The first candidate, or the one with the best mean of those whose interval against the first is above zero."""
    first, figure = next(iter(grid)), f"ndcg@{NDCG_AT}"
    gains = {name: report.against(first, name)[figure] for name in grid if name != first}
    figures = {
        name: {
            figure: report.orders[name][figure].to_dict(),
            "against_first": gains[name].to_dict() if name in gains else None,
            "rounds": rounds[name],
        }
        for name in grid
    }
    n = report.orders[first][figure].n
    if n < MIN_JUDGED:
        return _first(grid, _too_few(n), figures)
    told = ", ".join(f"{name} {report.orders[name][figure].mean:.4f}" for name in grid)
    better = {name: gain for name, gain in gains.items() if gain.low > 0}
    if not better:
        return _first(grid, f"none is better beyond doubt on {n} later requests (NDCG {told})", figures)
    best = max(better, key=lambda name: better[name].mean)
    gain = better[best]
    interval = f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
    why = f"{best}: NDCG {interval} against {first} on {n} later requests ({told})"
    return Choice(grid[best], best, why, figures)


def _first(grid: Mapping[str, GbdtSettings], why: str, figures: dict[str, dict[str, Any]] | None = None) -> Choice:
    first = next(iter(grid))
    return Choice(grid[first], first, f"{first}: {why}", figures or {})


def _too_few(n: int) -> str:
    return f"{n} requests are too few to choose by, {MIN_JUDGED} are needed"


def settings_of(meta: Mapping[str, Any], settings: GbdtSettings) -> GbdtSettings:
    """The project's settings with what was chosen for a published model; `meta` is its bundle's."""
    return settings.model_copy(update=meta.get("trees", {}).get("settings", {}))
