"""What quotas by request keep beside static ones where both score as many candidates. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.metrics.intervals import Interval, percentiles, ratio, resampled
from training.quotas.baselines import cheapest, learned_curve, static_curve
from training.quotas.learned import LearnedQuotas
from training.quotas.seen import Allotted, SeenCandidates, replay

FOLDS = 5


def kept_at(curve: Sequence[Allotted], cost: float) -> np.ndarray:
    """float64[R]: wanted candidates kept at a mean cost, where a share of the requests has the next dearer point.

    Below the cheapest point a share has nothing; above the dearest one all have that.
    """
    points = sorted(curve, key=lambda point: point.cost)
    dearer = next((at for at, point in enumerate(points) if point.cost >= cost), len(points) - 1)
    low, least = (points[dearer - 1].kept, points[dearer - 1].cost) if dearer else (0.0 * points[0].kept, 0.0)
    high, most = points[dearer].kept, points[dearer].cost
    share = min((cost - least) / (most - least), 1.0) if most > least else 1.0
    kept: np.ndarray = low + share * (high - low)
    return kept


def gain_over(ours: np.ndarray, theirs: np.ndarray, draws: int = 2000) -> Interval:
    """How much more is kept, of float64[R] each at the same cost: .02 is 2 % more recall. Requests are resampled."""
    more = ours - theirs
    drawn = ratio(resampled(len(ours), draws, 0, "multinomial"), more[:, None], theirs[:, None])[:, 0]
    low, high = percentiles(drawn[np.isfinite(drawn)])
    return Interval(float(more.sum() / max(theirs.sum(), 1e-9)), low, high, len(ours))


@dataclass(frozen=True)
class EqualCost:
    """Quotas by request beside the best static ones, `cost` candidates scored by both."""

    cost: float
    learned: float  # share kept
    static: float
    gain: Interval

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**vars(self), "gain": self.gain.to_dict()}


def at_cost_of_static(seen: SeenCandidates, budget: Sequence[int], keep: float, folds: int = FOLDS) -> EqualCost:
    """At the cost for which static quotas keep `keep`; each request by quotas learned on the other folds."""
    fold = np.random.default_rng(0).permutation(seen.requests) % folds
    kept = np.zeros((2, seen.requests))
    costs = []
    for at in range(folds):
        before, after = seen.of(np.flatnonzero(fold != at)), seen.of(np.flatnonzero(fold == at))
        enough = cheapest(static_curve(before, budget, before), keep)
        costs.append(replay(before, np.asarray(budget)).cost if enough is None else enough.cost)
        curves = learned_curve(LearnedQuotas.learn(before, budget), after), static_curve(before, budget, after)
        kept[:, fold == at] = [kept_at(curve, costs[-1]) for curve in curves]
    ours, theirs = kept
    wanted = max(float(seen.wanted.sum()), 1.0)
    return EqualCost(float(np.mean(costs)), ours.sum() / wanted, theirs.sum() / wanted, gain_over(ours, theirs))
