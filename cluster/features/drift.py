"""How far features have moved since training: a histogram of each with a bin for missing values, and PSI between two.

PSI, the population stability index, is Σ (a − e) · ln(a / e) over the bins, with e the share of values in training and
a the share now. Below 0.1 nothing has moved, above 0.25 much has (Siddiqi, Credit Risk Scorecards, 2006).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

REFERENCE = "reference.json"
"""File of a lightweight bundle: the histograms of what it was trained on."""
BINS = 10
"""Bins of values that are there; behind them stands one for those that are missing."""
SMALLEST_SHARE = 1e-4
"""Of a bin, where PSI is taken: a logarithm of nothing would drown all the others."""
REQUEST_ROWS = 64
"""Candidates of a request that are counted: many are much alike."""
_AT_ONCE = 4096


@dataclass(frozen=True)
class FeatureHistograms:
    """F features' bins and how many values were in them. A value's bin is the number of edges that are not above it."""

    names: tuple[str, ...]
    edges: np.ndarray  # float32[F, BINS - 1], ascending; infinite where a feature has no bins
    counts: np.ndarray  # int64[F, BINS + 1], missing values last

    @classmethod
    def of(cls, names: Sequence[str], matrix: np.ndarray) -> "FeatureHistograms":
        """Of float32[n, F]: about as many values in each bin. A value that fills several has one for itself alone."""
        edges = np.stack([_edges(column) for column in matrix.T]) if len(names) else np.empty((0, BINS - 1), np.float32)
        empty = cls(tuple(names), edges, np.zeros((len(names), BINS + 1), np.int64))
        return cls(empty.names, edges, empty.binned(matrix))

    @classmethod
    def without_bins(cls, names: Sequence[str]) -> "FeatureHistograms":
        """Tells missing values from others, and no more: for a client without a reference."""
        n = len(names)
        return cls(tuple(names), np.full((n, BINS - 1), np.inf, np.float32), np.zeros((n, BINS + 1), np.int64))

    @property
    def known(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self.counts.any())

    def binned(self, matrix: np.ndarray) -> np.ndarray:
        """How many values of float32[n, F] are in each bin, int64[F, BINS + 1]."""
        n = len(self.names)
        first = np.arange(n) * (BINS + 1)
        total = np.zeros(n * (BINS + 1), np.int64)
        for at in range(0, len(matrix), _AT_ONCE):
            part = matrix[at : at + _AT_ONCE]
            bins = (part[:, :, None] >= self.edges).sum(axis=2)
            bins[np.isnan(part)] = BINS
            total += np.bincount((bins + first).ravel(), minlength=len(total))
        return total.reshape(n, BINS + 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        edges = [[float(edge) if np.isfinite(edge) else None for edge in row] for row in self.edges]
        return {"names": list(self.names), "edges": edges, "counts": self.counts.tolist()}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "FeatureHistograms":
        """What `to_dict` gave. Raises ValueError, KeyError or TypeError for anything else."""
        names = tuple(str(name) for name in told["names"])
        n = len(names)
        rows = [[np.inf if edge is None else edge for edge in row] for row in told["edges"]]
        edges = np.array(rows, np.float32).reshape(n, BINS - 1)
        return cls(names, edges, np.array(told["counts"], np.int64).reshape(n, BINS + 1))


def psi(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """The population stability index of each feature, float64[F], from counts [F, B] of then and now; neither empty."""
    e, a = (np.maximum(counts / counts.sum(axis=1, keepdims=True), SMALLEST_SHARE) for counts in (expected, actual))
    return np.asarray(((a - e) * np.log(a / e)).sum(axis=1))


def rows_to_count(n: int) -> slice:
    """Some `REQUEST_ROWS` of a request's n candidates, of all ranks."""
    return slice(None, None, max(-(-n // REQUEST_ROWS), 1))


def _edges(column: np.ndarray) -> np.ndarray:
    present = column[~np.isnan(column)]
    if not len(present):
        return np.full(BINS - 1, np.inf, np.float32)
    edges = np.quantile(present, np.arange(1, BINS) / BINS, method="inverted_cdf").astype(np.float32)
    again = np.r_[False, edges[1:] == edges[:-1]]
    return np.where(again, np.nextafter(edges, np.float32(np.inf)), edges).astype(np.float32)
