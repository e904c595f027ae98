"""What learned quotas cost and find beside the best static ones, from requests that asked every source in full."""

import time
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from training.quotas.baselines import cheapest, learned_curve, static_curve
from training.quotas.demand import SourceDemand, known_of
from training.quotas.equal_cost import at_cost_of_static
from training.quotas.learned import LearnedQuotas
from training.quotas.paths import QuotaPath
from training.quotas.seen import SeenCandidates

KEEP = 0.95
KEEPS = (KEEP, 0.8)


class AskedInFull(NamedTuple):
    """One request: its n candidates, and what was known of it before."""

    rank: np.ndarray  # int32[n, S]
    wanted: np.ndarray  # bool[n]
    known: np.ndarray  # float64[2]


def quota_costs(requests: list[AskedInFull], sources: tuple[str, ...], budget: int) -> dict[str, Any]:
    """Candidates scored by learned and by the best static quotas that keep `KEEP` of what full ones found; what both
    find with as many candidates.
    """
    order = np.random.default_rng(0).permutation(len(requests))
    parts = [requests[at] for at in order.tolist()]
    each = np.repeat(np.arange(len(parts)), [len(rank) for rank, _, _ in parts])
    rank = np.concatenate([rank for rank, _, _ in parts])
    wanted = np.concatenate([hit for _, hit, _ in parts])
    known = np.stack([known for _, _, known in parts])
    seen = SeenCandidates(sources, each, rank, wanted, np.ones(len(each)), known)
    cut = int(0.7 * seen.requests)
    before, after = seen.of(np.arange(cut)), seen.of(np.arange(cut, seen.requests))
    limits = (budget,) * len(sources)
    ours = cheapest(learned_curve(LearnedQuotas.learn(before, limits), after), KEEP)
    theirs = cheapest(static_curve(before, limits, after), KEEP)
    equal = {str(keep): at_cost_of_static(seen, limits, keep).to_dict() for keep in KEEPS}
    if ours is None or theirs is None:
        return {"learned": None, "static": None, "share": None, "at_equal_cost": equal}
    share = ours.cost / theirs.cost
    return {"learned": ours.cost, "static": theirs.cost, "share": share, "at_equal_cost": equal}


def decision_us(repeats: int) -> float:
    """CPU of deciding on the quotas of a request, microseconds: of four sources, forty purchases."""
    sizes = np.arange(41)[:, None] * np.array([50, 50, 50, 50])
    path = QuotaPath(np.linspace(1.0, 0.01, 40), sizes.astype(np.int32))
    learned = LearnedQuotas(("a", "b", "c", "d"), path, SourceDemand(np.full((4, 3), 0.1)), 0.2)
    spent = []
    for turn in range(repeats):
        began = time.process_time_ns()
        learned.quotas(known_of(turn % 50, turn))
        spent.append((time.process_time_ns() - began) / 1e3)
    return median(spent)
