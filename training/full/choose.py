"""Which of several plans the log can teach: each is fitted, and the one that orders the validation requests best stays.

A candidate that was drawn counts there for all that it was drawn from (training.metrics.sampled).

Decided before the gate, which looks at later requests that nothing here has seen. On a log that is large for a trial
each plan is fitted on its newest part, and the chosen one once more on all of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.settings.clients import Client
from training.full.fit import fit_plan
from training.full.gating import held_out_rows
from training.full.parts import Parts
from training.full.plan import NetworkPlan
from training.judge.full import probabilities, utilities
from training.metrics.sampled import mean_ndcg_of_samples
from training.ranker.batch import RankerSchema, RequestBatch

NDCG_AT = 20
TRIAL_REQUESTS = 20_000
"""Training requests of one trial: with three trials some minutes on one core."""
JUDGED_REQUESTS = 4_000
"""Validation requests that trials are compared on."""

Fitter = Callable[[NetworkPlan, RankerSchema, Parts, Path], dict[str, Any]]


@dataclass(frozen=True)
class PlanTrial:
    """One plan, fitted: NDCG@20 by utility on the validation requests, NaN where they have no action."""

    plan: NetworkPlan
    ndcg: float
    fit: dict[str, Any]
    model: Path


@dataclass(frozen=True)
class ChosenPlan:
    """The fitted model of the plan that was taken, and why."""

    plan: NetworkPlan
    model: Path
    fit: dict[str, Any]
    reason: str
    ndcg: dict[str, float]  # by plan, and of the lightweight order

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: for the manifest."""
        known = {name: value if np.isfinite(value) else None for name, value in self.ndcg.items()}
        return {**self.plan.to_dict(), "reason": self.reason, f"validation_ndcg@{NDCG_AT}": known}


def choose(
    plans: Sequence[NetworkPlan],
    schema: RankerSchema,
    parts: Parts,
    clients: Mapping[str, Client],
    folder: Path,
    finish: Fitter,
    told: Callable[[float], None] = lambda share: None,
) -> ChosenPlan:
    """Fit the plans in this process and take the best; models below `folder`.

    `finish` fits the only plan, or the best one of trials on a part of the log, on all of it. Equal figures go to the
    earlier plan, which is the smaller one.
    """
    if len(plans) == 1:
        fit = finish(plans[0], schema, parts, folder / plans[0].name)
        return ChosenPlan(plans[0], folder / plans[0].name, fit, f"{plans[0].name}: the only plan for this log", {})
    requests = parts.requests()["train"]
    trial_parts = parts.newest(TRIAL_REQUESTS, folder)
    rows = held_out_rows(parts.valid, JUDGED_REQUESTS)
    trials = []
    for at, plan in enumerate(plans):
        model = folder / plan.name
        fit = fit_plan(plan, schema, trial_parts, model)
        trials.append(PlanTrial(plan, quality(model, rows, clients), fit, model))
        told((at + 1) / (len(plans) + 1))
    best = max(trials, key=lambda trial: -np.inf if np.isnan(trial.ndcg) else trial.ndcg)
    ndcg = {trial.plan.name: trial.ndcg for trial in trials}
    if rows is not None and schema.reads_score:
        batch = RequestBatch.from_table(rows, schema)
        ndcg["lightweight"] = _ndcg(batch, rows, batch.candidates[:, -1], schema, clients)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in ndcg.items())
    judged = 0 if rows is None else rows.num_rows
    reason = f"{best.plan.name}: best NDCG@{NDCG_AT} on {judged:,} validation requests ({figures})"
    if trial_parts is parts:
        return ChosenPlan(best.plan, best.model, best.fit, reason, ndcg)
    reason += f"; tried on the newest {TRIAL_REQUESTS:,} of {requests:,} requests"
    whole = folder / f"{best.plan.name}-all"
    return ChosenPlan(best.plan, whole, finish(best.plan, schema, parts, whole), reason, ndcg)


def quality(model: Path, rows: pa.Table | None, clients: Mapping[str, Client]) -> float:
    """Mean NDCG@20 by utility of a saved model over validation rows; NaN without any action."""
    from training.ranker.scorer import FullScorer

    if rows is None:
        return float("nan")
    scorer = FullScorer.open(model)
    batch = RequestBatch.from_table(rows, scorer.schema)
    names = np.asarray(rows.column("client").to_pylist(), object)[batch.request]
    score = utilities(probabilities(rows, scorer.schema, scorer), names, clients, scorer.schema)
    return _ndcg(batch, rows, score, scorer.schema, clients)


def _ndcg(
    batch: RequestBatch, rows: pa.Table, score: np.ndarray, schema: RankerSchema, clients: Mapping[str, Client]
) -> float:
    names = rows.column("client").to_pylist()
    worth = np.array([[clients[name].utility.get(a, 0.0) for a in schema.actions] for name in names])
    assert batch.labels is not None
    gain = (np.nan_to_num(batch.labels) * worth[batch.request]).sum(axis=1)
    return mean_ndcg_of_samples(score, gain, batch.request, batch.stands_for(), NDCG_AT)
