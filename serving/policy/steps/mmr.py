"""Diversity by maximal marginal relevance (Carbonell and Goldstein, 1998) over the pins' contents."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from cluster.settings.clients import PolicySettings
from serving.policy.registry import Phase, PolicyRequest, Step, register
from serving.policy.slate import Slate

SPREAD = 2
"""MMR fills so many times the answer: caps move pins back, and what moves up should be diverse too."""
DEPTH = 200
"""Candidates that are looked at."""


@register("mmr", Phase.SPREAD)
def diversity(policy: PolicySettings) -> Iterator[Step]:
    """`policy.diversity`."""
    if policy.diversity:
        yield partial(mmr, trade=policy.diversity)


def mmr(slate: Slate, request: PolicyRequest, trade: float, depth: int = DEPTH) -> Slate:
    """Fills the answer's positions, `SPREAD` times over, each with the best of what is left among the first `depth`.

    The best has the highest (1 - trade) · relevance - trade · (largest cosine to those already chosen); the rest
    follows in its order. Relevance is the score scaled to [0, 1] over those `depth`, so `trade` means the same for
    every request.
    """
    n = min(depth, len(slate.pin))
    if slate.vector is None or n < 2:
        return slate
    unit = slate.vector[:n].astype(np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
    score = slate.score[:n].astype(np.float32)
    relevance = (score - score.min()) / max(float(score.max() - score.min()), 1e-9)
    closest = np.zeros(n, np.float32)
    free = np.ones(n, bool)
    chosen: list[int] = []
    for _ in range(min(SPREAD * request.size, n)):
        gain = np.where(free, (1 - trade) * relevance - trade * closest, -np.inf)
        best = int(np.argmax(gain))
        chosen.append(best)
        free[best] = False
        closest = np.maximum(closest, unit @ unit[best])
    rest = np.concatenate([np.flatnonzero(free), np.arange(n, len(slate.pin))])
    return slate.pick(np.concatenate([np.array(chosen, np.int64), rest]))
