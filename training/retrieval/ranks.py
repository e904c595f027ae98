"""The rank of each wanted item among all items, never among a sample of them (Krichene and Rendle, KDD 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from training.metrics.ranking import discount
from training.retrieval.cases import Cases

Scores = Callable[[np.ndarray], np.ndarray]
"""Cases int64[n] → scores float32[n, items], the caller's own: they are written over."""

CHUNK_BYTES = 1 << 28


@dataclass(frozen=True)
class Ranks:
    """Ranks from 0 of the wanted items, and which items stood among the first k."""

    unseen: np.ndarray  # int64[C], where what the user has had is left out, but for the wanted item itself
    every: np.ndarray  # int64[C], among all items
    shown: np.ndarray  # bool[items], those among the first k of any case

    def figures(self, k: int) -> dict[str, float]:
        """Recall and NDCG at k (one item is wanted, so recall is the hit rate), and the share of items shown."""
        named = (("", self.unseen), ("_with_seen", self.every))
        found = {}
        for suffix, ranks in named:
            found[f"recall@{k}{suffix}"] = float((ranks < k).mean()) if len(ranks) else 0.0
            found[f"ndcg@{k}{suffix}"] = float(discount(ranks, k).mean()) if len(ranks) else 0.0
        return {**found, f"coverage@{k}": float(self.shown.mean()) if len(self.shown) else 0.0}


def rank_all(cases: Cases, scores: Scores, k: int) -> Ranks:
    """Ranks of all cases. Equal scores count as better ones: a model that tells nothing apart finds nothing."""
    n_items = cases.known.n_items
    shown = np.zeros(n_items, bool)
    unseen, every = [], []
    for chunk in _chunks(len(cases.user), n_items):
        table = scores(chunk)
        wanted = cases.wanted[chunk]
        own = table[np.arange(len(chunk)), wanted].copy()
        every.append((table >= own[:, None]).sum(axis=1) - 1)
        for row, user in enumerate(cases.user[chunk].tolist()):
            table[row, cases.known.items[cases.known.of(user)]] = -np.inf
        table[np.arange(len(chunk)), wanted] = own
        unseen.append((table >= own[:, None]).sum(axis=1) - 1)
        best = min(k, n_items)
        shown[np.argpartition(-table, best - 1, axis=1)[:, :best]] = True
    empty = np.empty(0, np.int64)
    return Ranks(np.concatenate([empty, *unseen]), np.concatenate([empty, *every]), shown)


def _chunks(n: int, n_items: int) -> Iterator[np.ndarray]:
    size = max(1, min(512, CHUNK_BYTES // (4 * n_items)))
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))
