"""Compares orderings of logged candidates on held-out requests, at the lightweight stage. Pure NumPy; no Ray, no files.

Action metrics look at the candidates that training.judge.judged names; the funnel metrics look at all
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
from training.judge.judged import judged_rows, user_units
from training.judge.orders import Order
from training.judge.position import PositionEffect, effect_in_exploration, without_position
from training.log.arrays import Request
from training.metrics.cases import OrderedRequest, Predictions
from training.metrics.intervals import Interval, bootstrap_columns
from training.metrics.metric import Cuts, figures, planned
from training.metrics.ranking import order_by, tells_apart
from training.metrics.registry import ECE, ORDERS

NDCG_AT = 10


@dataclass(frozen=True)
class LightweightReport:
    """Metrics of each ordering with intervals, and paired differences of the first one to each other one.

    Intervals resample users where the log knows them, else requests.
    """

    client: str
    requests: int
    requests_with_action: int
    orders: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    calibration: dict[str, float]
    alike: int = 0  # requests with an action in which no order is better than another: they have no NDCG
    positions: str = "nothing"  # where it is known from what positions did for actions

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
            "alike": self.alike,
            "positions": self.positions,
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
    effect: PositionEffect | None = None,
) -> LightweightReport:
    """All metrics of all orderings over the same requests; differences are of the first ordering to each other one.

    `teacher` scores every candidate by the full ranker; without it the logged full scores judge, which only the
    incumbent's own survivors have. `cuts` defaults to a quarter, a half and the whole of the client's lightweight size.

    `effect` is what positions did for actions (training.judge.position), which an action's gain is divided by; by
    default as the exploration slots of these requests tell it.
    """
    cuts = cuts or sorted({max(1, client.sizes.lightweight // d) for d in (4, 2, 1)})
    local = features.candidate.index("cross_locale_match")
    at: Cuts = {"head": (NDCG_AT,), "answer": (client.sizes.answer,), "survivors": cuts}
    best = teacher(requests) if teacher else [r.full_score for r in requests]
    worth = worth_of(client, actions)
    effect = effect or effect_in_exploration(requests, worth)
    gains = [without_position(r.actions, effect.of(r.position), worth, NDCG_AT) for r in requests]
    decides = [tells_orders_apart(r, worth) for r in requests]
    resample = _Resample(np.array([w for _, w in gains]), user_units(np.array([r.user for r in requests], np.int64)))
    values: dict[str, dict[str, np.ndarray]] = {}
    calibration: dict[str, float] = {}
    for name, scorer in orders.items():
        scores = scorer(requests)
        rows = [
            _figures(request, _case(request, score, gain, local, of_teacher), at, known)
            for request, score, (gain, _), of_teacher, known in zip(requests, scores, gains, best, decides, strict=True)
        ]
        values[name] = {figure: np.array([row[figure] for row in rows]) for figure in (rows[0] if rows else ())}
        calibration[name] = _calibration(requests, scores, worth)
    first = next(iter(orders))
    with_action = [bool(((r.actions * worth) > 0).any()) for r in requests]
    return LightweightReport(
        client=client.name,
        requests=len(requests),
        requests_with_action=sum(with_action),
        alike=sum(some and not known for some, known in zip(with_action, decides, strict=True)),
        positions=effect.source,
        orders={name: resample.intervals(table) for name, table in values.items()},
        differences={
            name: resample.intervals({m: values[first][m] - v for m, v in table.items()})
            for name, table in values.items()
            if name != first
        },
        calibration=calibration,
    )


def tells_orders_apart(request: Request, worth: np.ndarray) -> bool:
    """Whether one order of a request's judged candidates can be better than another; `worth` as `worth_of` has it."""
    return tells_apart((request.actions @ worth)[_judged(request)])


def worth_of(client: Client, actions: Sequence[str]) -> np.ndarray:
    """float32[A]: what each action is worth to a client."""
    return np.array([client.utility.get(a, 0.0) for a in actions], np.float32)


@dataclass(frozen=True)
class _Resample:
    """What the intervals of all figures have in common: what a request counts in NDCG, and which are of one user."""

    weights: np.ndarray  # float[n]
    users: np.ndarray | None  # int[n]

    def intervals(self, table: Mapping[str, np.ndarray]) -> dict[str, Interval]:
        """Of each figure's values float[n]."""
        if not table:
            return {}
        plain = np.ones_like(self.weights)
        weights = [self.weights if figure.startswith("ndcg@") else plain for figure in table]
        columns = bootstrap_columns(np.stack(list(table.values()), axis=1), np.stack(weights, axis=1), unit=self.users)
        return dict(zip(table, columns, strict=True))


def _judged(request: Request) -> np.ndarray:
    """bool[n]: the candidates that action metrics look at."""
    return judged_rows(request.position, np.asarray((request.actions > 0).any(axis=1)), np.zeros(request.n, np.int64))


def _figures(request: Request, case: OrderedRequest, at: Cuts, decides: bool) -> dict[str, float]:
    """The figures of a request in one order; no NDCG where no order is better than another.

    A sample of its candidates cannot say what is among the first k of all.
    """
    found = figures(ORDERS, case, at)
    if not decides:
        found[f"ndcg@{NDCG_AT}"] = float("nan")
    if request.kept_rate < 1.0:
        of_all = {metric.figure(k) for metric, k in planned(ORDERS, at) if metric.cut in ("answer", "survivors")}
        found |= dict.fromkeys(of_all, float("nan"))
    return found


def _stands_for(request: Request) -> np.ndarray:
    """float[n]: how many candidates each one counts for; what was shown or acted on was all logged."""
    return np.where((request.stage >= IMPRESSED) | (request.actions > 0).any(axis=1), 1.0, 1.0 / request.kept_rate)


def _case(request: Request, score: np.ndarray, gain: np.ndarray, local: int, teacher: np.ndarray) -> OrderedRequest:
    """What the metrics look at; `local` is the column of candidate features that says whether the locales match."""
    return OrderedRequest(
        score=score,
        order=order_by(score),
        gain=gain,
        shown=_judged(request),
        impressed=request.stage >= IMPRESSED,
        local=request.candidates[:, local] == 1.0,
        stands_for=_stands_for(request),
        teacher=teacher,
    )


def _calibration(requests: Sequence[Request], scores: Sequence[np.ndarray], worth: np.ndarray) -> float:
    """Expected calibration error over judged candidates; NaN for scores that are no probabilities."""
    if not requests:
        return float("nan")
    judged = [_judged(r) for r in requests]
    probability = np.concatenate([s[m] for s, m in zip(scores, judged, strict=True)])
    label = np.concatenate([((r.actions @ worth) > 0)[m] for r, m in zip(requests, judged, strict=True)])
    stands_for = [_stands_for(r)[m] for r, m in zip(requests, judged, strict=True)]
    true = bool(((probability >= 0) & (probability <= 1)).all())
    return ECE.of(Predictions(label.astype(np.float64), np.concatenate(stands_for), probability if true else None))
