"""Simpler ways to spend the same candidates, to hold learned quotas against. Each is a curve of allocations.

A curve is a list of `Allotted`, from few candidates to all. Static quotas are one path of purchases for all users, the
best that greedy finds on the requests that learned quotas learn from.
"""

from collections.abc import Sequence

import numpy as np

from cluster.features.source import fused
from training.quotas.learned import LearnedQuotas
from training.quotas.paths import BLOCK, greedy_path
from training.quotas.seen import Allotted, SeenCandidates, replay, replay_rows

STEPS = 40
"""Points of a curve."""


def learned_curve(learned: LearnedQuotas, seen: SeenCandidates) -> list[Allotted]:
    """Learned quotas at falling prices."""
    return [replay(seen, learned.of_requests(seen, price)) for price in learned.prices()]


def static_curve(learnt_on: SeenCandidates, budget: Sequence[int], seen: SeenCandidates) -> list[Allotted]:
    """The same quotas for everyone, bought greedily on `learnt_on`."""
    path = greedy_path(learnt_on, np.asarray(budget))
    return [replay(seen, quotas) for quotas in _some(path.quotas[1:])]


def round_robin_curve(budget: Sequence[int], seen: SeenCandidates) -> list[Allotted]:
    """As many of each source."""
    limits = np.asarray(budget)
    most = int(limits.max(initial=0))
    return [replay(seen, np.minimum(limits, size)) for size in _some(np.arange(BLOCK, most + BLOCK, BLOCK))]


def fusion_curve(seen: SeenCandidates) -> list[Allotted]:
    """The first candidates of each request by reciprocal rank fusion."""
    return _first_curve(seen, fused(seen.rank))


def calibrated_curve(learnt_on: SeenCandidates, budget: Sequence[int], seen: SeenCandidates) -> list[Allotted]:
    """Candidates that are wanted often enough: 1 - the product of (1 - rate of its block) over its sources."""
    missed = np.ones(len(seen.rank))
    for source, most in enumerate(budget):
        blocks = -(-int(most) // BLOCK)
        found = learnt_on.rank[:, source] >= 0
        of = np.minimum(learnt_on.rank[found, source] // BLOCK, blocks - 1)
        wanted = np.bincount(of, learnt_on.wanted[found], minlength=blocks)
        there = np.bincount(of, learnt_on.weight[found], minlength=blocks)
        rate = np.minimum(wanted / np.maximum(there, 1.0), 1.0)
        mine = seen.rank[:, source] >= 0
        missed[mine] *= 1.0 - rate[np.minimum(seen.rank[mine, source] // BLOCK, blocks - 1)]
    chance = 1.0 - missed
    levels = np.unique(np.quantile(chance, np.linspace(0.0, 1.0, STEPS)))[::-1] if len(chance) else np.zeros(1)
    return [replay_rows(seen, chance >= level) for level in levels]


def cheapest(curve: Sequence[Allotted], share: float) -> Allotted | None:
    """The allocation that keeps at least `share` of what was wanted and scores least; None when there is none."""
    enough = [point for point in curve if point.share >= share]
    return min(enough, key=lambda point: point.cost) if enough else None


def _first_curve(seen: SeenCandidates, score: np.ndarray) -> list[Allotted]:
    """The best n candidates of each request by a score, for rising n; a drawn one counts for all it stands for."""
    order = np.lexsort((-score, seen.request))
    of = seen.request[order]
    total = np.append(0.0, np.cumsum(seen.weight[order]))
    before = np.empty(len(order))
    before[order] = total[:-1] - total[np.searchsorted(of, of)]
    most = float(before.max(initial=0.0)) + 1.0
    return [replay_rows(seen, before < size) for size in np.linspace(most / STEPS, most, STEPS)]


def _some(values: np.ndarray) -> np.ndarray:
    """At most `STEPS` of them, the last among them."""
    at = np.unique(np.linspace(0, len(values) - 1, min(STEPS, len(values))).round().astype(int))
    return values[at]
