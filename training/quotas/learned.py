"""Learned quotas as serving reads them: a path of purchases, what a request wants beside others, and the price."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.quotas.demand import KNOWN, SourceDemand
from training.quotas.paths import QuotaPath, greedy_path
from training.quotas.seen import SeenCandidates

FARTHEST = 20.0
"""How much more or less than the mean request one may want of a source, for prices to be looked at."""


@dataclass(frozen=True)
class LearnedQuotas:
    """Of one client. A request buys a block of a source where its worth, times what the request wants of it beside
    others, is not below the price.
    """

    sources: tuple[str, ...]
    path: QuotaPath  # of all requests
    demand: SourceDemand
    price: float = 0.0  # wanted candidates for one scored, below which nothing is bought

    @classmethod
    def learn(cls, seen: SeenCandidates, budget: Sequence[int]) -> "LearnedQuotas":
        """From requests at full quotas."""
        path = greedy_path(seen, np.asarray(budget, np.int64))
        return cls(seen.sources, path, SourceDemand.fit(seen.known, seen.found()))

    def static(self) -> "LearnedQuotas":
        """The same path with the same quotas for everyone."""
        return replace(self, demand=SourceDemand.even(len(self.sources)))

    def quotas(self, known: np.ndarray, factor: float = 1.0) -> np.ndarray:
        """int32[S] of a request of which float64[2] is `known`, at `factor` times the price."""
        return self.path.each_at(self.price * factor / self.demand.rates(known))

    def of_requests(self, seen: SeenCandidates, price: float) -> np.ndarray:
        """int32[R, S]: quotas of each request at a price."""
        return self.path.each_at(price / self.demand.rates(seen.known))

    def prices(self, points: int = 40) -> np.ndarray:
        """Prices from one at which next to nothing is bought to 0, at which everything is, highest first."""
        worth = np.unique(self.path.worth[self.path.worth > 0])[::-1]
        if not len(worth) or not self.demand.weights.any():
            return np.append(worth, 0.0)
        between = np.geomspace(FARTHEST * worth[0], worth[-1] / FARTHEST, points)
        prices: np.ndarray = np.unique(np.concatenate([worth, between, [0.0]]))[::-1]
        return prices

    def save(self, folder: Path) -> None:
        """Writes what `open` reads."""
        np.savez(folder / "quotas.npz", worth=self.path.worth, quotas=self.path.quotas, demand=self.demand.weights)
        about: dict[str, Any] = {"sources": self.sources, "price": self.price, "known": KNOWN}
        (folder / "quotas.json").write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> "LearnedQuotas":
        """Reads the files of `save`. Raises ValueError for quotas of kinds of users, as they were before."""
        about = json.loads((folder / "quotas.json").read_text(encoding="utf-8"))
        if tuple(about.get("known", ())) != KNOWN:
            raise ValueError(f"they ask for other numbers of a request than {', '.join(KNOWN)}")
        with np.load(folder / "quotas.npz") as arrays:
            path = QuotaPath(arrays["worth"], arrays["quotas"])
            return cls(tuple(about["sources"]), path, SourceDemand(arrays["demand"]), float(about["price"]))
