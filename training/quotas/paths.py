"""From seen candidates to quotas: blocks of candidates bought one after the other, the one that is worth most first.

A source's next block is worth the wanted candidates in it that no block bought before has found; it costs the
candidates that it adds to what is scored. Greedy on such a coverage is within 1 - 1/e of the best (Nemhauser, Wolsey
and Fisher, 1978). A run of several blocks may be bought at once, where the first alone is worth little.
"""

from dataclasses import dataclass

import numpy as np

from training.quotas.seen import SeenCandidates

BLOCK = 50


@dataclass(frozen=True)
class QuotaPath:
    """L purchases: after the first l of them the quotas are `quotas[l]`."""

    worth: np.ndarray  # float64[L], wanted candidates for each one scored; never rising
    quotas: np.ndarray  # int32[L + 1, S], the first row 0

    def at(self, price: float) -> np.ndarray:
        """int32[S]: quotas when everything worth `price` or more is bought."""
        return self.each_at(np.full(self.quotas.shape[1], price))

    def each_at(self, price: np.ndarray) -> np.ndarray:
        """int32[..., S]: quotas when the blocks of each source are bought up to a price of its own, float64[..., S]."""
        bought = np.searchsorted(-self.worth, -price, side="right")
        chosen: np.ndarray = self.quotas[bought, np.arange(self.quotas.shape[1])]
        return chosen


def greedy_path(seen: SeenCandidates, budget: np.ndarray, block: int = BLOCK) -> QuotaPath:
    """Of quotas up to `budget` int[S]. Purchases that are worth nothing are not on the path."""
    budget = np.asarray(budget, np.int64)
    blocks = -(-budget // block)
    within = np.where((seen.rank >= 0) & (seen.rank < budget), seen.rank // block, -1)
    left = np.ones(len(seen.rank), bool)
    taken = np.zeros(len(budget), np.int64)
    worth: list[float] = []
    quotas = [np.zeros(len(budget), np.int32)]
    while True:
        best = (0.0, -1, 0)
        for source in range(len(budget)):
            rows = np.flatnonzero(left & (within[:, source] >= taken[source]))
            of = within[rows, source] - taken[source]
            size = int(blocks[source] - taken[source])
            gain = np.cumsum(np.bincount(of, seen.wanted[rows], minlength=size))
            cost = np.cumsum(np.bincount(of, seen.weight[rows], minlength=size))
            if not size or not len(rows):
                continue
            ratio = gain / np.maximum(cost, 1e-9)
            run = int(ratio.argmax())
            if ratio[run] > best[0]:
                best = (float(ratio[run]), source, run + 1)
        value, source, run = best
        if source < 0:
            break
        taken[source] += run
        left &= ~((within[:, source] >= 0) & (within[:, source] < taken[source]))
        worth.append(min(value, worth[-1]) if worth else value)
        quotas.append(np.minimum(taken * block, budget).astype(np.int32))
    return QuotaPath(np.array(worth), np.stack(quotas))
