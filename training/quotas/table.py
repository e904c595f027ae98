"""Learned quotas as serving reads them: a path of purchases for each kind of user, and the price up to which to buy."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.quotas.kinds import KINDS
from training.quotas.paths import QuotaPath, greedy_path
from training.quotas.seen import SeenCandidates

FEW = 50
"""Requests of a kind below which it has the path of all requests."""


@dataclass(frozen=True)
class QuotaTable:
    """Of one client."""

    sources: tuple[str, ...]
    paths: tuple[QuotaPath, ...]  # by kind
    price: float  # wanted candidates for one scored, below which nothing is bought

    @classmethod
    def learn(cls, seen: SeenCandidates, budget: Sequence[int], price: float = 0.0) -> "QuotaTable":
        """A path for each kind that has been seen often enough, and that of all requests for the others."""
        limits = np.asarray(budget, np.int64)
        every = greedy_path(seen, limits)
        paths = []
        for kind in range(KINDS):
            mine = np.flatnonzero(seen.kind == kind)
            paths.append(greedy_path(seen.of(mine), limits) if len(mine) >= FEW else every)
        return cls(seen.sources, tuple(paths), price)

    def quotas(self, kind: int, factor: float = 1.0) -> np.ndarray:
        """int32[S] of a request, at `factor` times the price."""
        return self.paths[kind].at(self.price * factor)

    def of_requests(self, seen: SeenCandidates, price: float) -> np.ndarray:
        """int32[R, S]: quotas of each request at a price."""
        by_kind = np.stack([path.at(price) for path in self.paths])
        chosen: np.ndarray = by_kind[seen.kind]
        return chosen

    def prices(self) -> np.ndarray:
        """Prices at which something changes, highest first."""
        known: np.ndarray = np.unique(np.concatenate([path.worth for path in self.paths]))[::-1]
        return known

    def save(self, folder: Path) -> None:
        """Writes what `open` reads."""
        arrays: dict[str, Any] = {}
        for kind, path in enumerate(self.paths):
            arrays[f"worth{kind}"], arrays[f"quotas{kind}"] = path.worth, path.quotas
        np.savez(folder / "paths.npz", **arrays)
        about = {"sources": self.sources, "price": self.price, "kinds": len(self.paths)}
        (folder / "quotas.json").write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> "QuotaTable":
        """Reads the files of `save`."""
        about = json.loads((folder / "quotas.json").read_text(encoding="utf-8"))
        with np.load(folder / "paths.npz") as arrays:
            paths = [QuotaPath(arrays[f"worth{k}"], arrays[f"quotas{k}"]) for k in range(about["kinds"])]
        if len(paths) != KINDS:
            raise ValueError(f"{len(paths)} kinds of users are not {KINDS}")
        return cls(tuple(about["sources"]), tuple(paths), float(about["price"]))
