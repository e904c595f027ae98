"""Compares orderings of logged candidates on held-out requests, at the lightweight stage. Pure NumPy; no Ray, no files.

Candidates that nobody saw have no action, so action metrics look at the impressed ones; the funnel metrics look at all
candidates and take the full ranker (the teacher) as the judge. The log's own policy chose what was impressed: at a cold
start that is visit count, which flatters visit count in `action_recall`; NDCG and AUC over the shown pins do not care.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.data.schema import IMPRESSED
from cluster.features.assemble import FeatureSet
from cluster.settings.clients import Client
from training.judge.orders import Order
from training.log.arrays import Request
from training.metrics.cases import OrderedRequest, Predictions
from training.metrics.intervals import Interval, bootstrap_columns
from training.metrics.metric import Cuts, figures, planned
from training.metrics.ranking import order_by
from training.metrics.registry import ECE, ORDERS

NDCG_AT = 10


@dataclass(frozen=True)
class LightweightReport:
    """Metrics of each ordering with intervals, and paired differences of the first one to each other one."""

    client: str
    requests: int
    requests_with_action: int
    orders: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    calibration: dict[str, float]

    def against(self, baseline: str, order: str) -> dict[str, Interval]:
        """Paired differences of `order` minus `baseline`, where one of them is the first order; else empty."""
        first = next(iter(self.orders), None)
        if first == order and baseline in self.differences:
            return self.differences[baseline]
        if first == baseline and order in self.differences:
            found = self.differences[order]
            return {m: Interval(-i.mean, -i.high, -i.low, i.n) for m, i in found.items()}
        return {}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""

        def plain(table: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
            return {name: {m: i.to_dict() for m, i in row.items()} for name, row in table.items()}

        return {
            "client": self.client,
            "requests": self.requests,
            "requests_with_action": self.requests_with_action,
            "orders": plain(self.orders),
            "differences": plain(self.differences),
            "calibration": {k: (v if v == v else None) for k, v in self.calibration.items()},
        }


def evaluate_lightweight(
    requests: Sequence[Request],
    client: Client,
    actions: Sequence[str],
    features: FeatureSet,
    orders: Mapping[str, Order],
    teacher: Order | None = None,
    cuts: Sequence[int] | None = None,
) -> LightweightReport:
    """All metrics of all orderings over the same requests; differences are of the first ordering to each other one.

    `teacher` scores every candidate by the full ranker; without it the logged full scores judge, which only the
    incumbent's own survivors have. `cuts` defaults to a quarter, a half and the whole of the client's lightweight size.
    """
    cuts = cuts or sorted({max(1, client.sizes.lightweight // d) for d in (4, 2, 1)})
    local = features.candidate.index("cross_locale_match")
    at: Cuts = {"head": (NDCG_AT,), "answer": (client.sizes.answer,), "survivors": cuts}
    judged = teacher(requests) if teacher else [r.full_score for r in requests]
    worth = np.array([client.utility.get(a, 0.0) for a in actions], np.float32)
    values: dict[str, dict[str, np.ndarray]] = {}
    calibration: dict[str, float] = {}
    for name, scorer in orders.items():
        scores = scorer(requests)
        rows = [
            _figures(request, _case(request, score, worth, local, best), at)
            for request, score, best in zip(requests, scores, judged, strict=True)
        ]
        values[name] = {figure: np.array([row[figure] for row in rows]) for figure in (rows[0] if rows else ())}
        calibration[name] = _calibration(requests, scores, worth)
    first = next(iter(orders))
    return LightweightReport(
        client=client.name,
        requests=len(requests),
        requests_with_action=sum(1 for r in requests if ((r.actions * worth) > 0).any()),
        orders={name: _intervals(table) for name, table in values.items()},
        differences={
            name: _intervals({m: values[first][m] - v for m, v in table.items()})
            for name, table in values.items()
            if name != first
        },
        calibration=calibration,
    )


def _figures(request: Request, case: OrderedRequest, at: Cuts) -> dict[str, float]:
    """The figures of a request in one order. A sample of its candidates cannot say what is among the first k of all."""
    found = figures(ORDERS, case, at)
    if request.kept_rate < 1.0:
        of_all = {metric.figure(k) for metric, k in planned(ORDERS, at) if metric.cut in ("answer", "survivors")}
        found |= dict.fromkeys(of_all, float("nan"))
    return found


def _case(request: Request, score: np.ndarray, worth: np.ndarray, local: int, teacher: np.ndarray) -> OrderedRequest:
    """What the metrics look at; `local` is the column of candidate features that says whether the locales match."""
    return OrderedRequest(
        score=score,
        order=order_by(score),
        gain=request.actions @ worth,
        shown=(request.stage >= IMPRESSED) | (request.actions > 0).any(axis=1),
        impressed=request.stage >= IMPRESSED,
        local=request.candidates[:, local] == 1.0,
        teacher=teacher,
    )


def _intervals(table: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    if not table:
        return {}
    return dict(zip(table, bootstrap_columns(np.stack(list(table.values()), axis=1)), strict=True))


def _calibration(requests: Sequence[Request], scores: Sequence[np.ndarray], worth: np.ndarray) -> float:
    """Expected calibration error over shown candidates; NaN for scores that are no probabilities."""
    if not requests:
        return float("nan")
    shown = [r.stage >= IMPRESSED for r in requests]
    probability = np.concatenate([s[m] for s, m in zip(scores, shown, strict=True)])
    label = np.concatenate([((r.actions @ worth) > 0)[m] for r, m in zip(requests, shown, strict=True)])
    true = bool(((probability >= 0) & (probability <= 1)).all())
    return ECE.of(Predictions(label.astype(np.float64), np.ones(len(label)), probability if true else None))
