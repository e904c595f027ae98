"""What is kept of any number of units (users, windows of time): how many, and sums and products of their columns.

Means, variances and covariances follow from it, and so every interval of a report; parts of a log are added up. NumPy
only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class UnitMoments:
    """Of n units with k columns each."""

    n: int
    total: np.ndarray  # float64[k]
    products: np.ndarray  # float64[k, k]: sums of the products of two columns

    @classmethod
    def of(cls, rows: np.ndarray) -> "UnitMoments":
        """Of float[n, k], a row a unit."""
        rows = np.asarray(rows, np.float64)
        return cls(len(rows), rows.sum(axis=0), rows.T @ rows)

    @classmethod
    def none(cls, columns: int) -> "UnitMoments":
        """Of no unit."""
        return cls(0, np.zeros(columns), np.zeros((columns, columns)))

    @classmethod
    def added(cls, parts: Iterable["UnitMoments"], columns: int) -> "UnitMoments":
        """All of several, each unit in one of them."""
        out = cls.none(columns)
        for part in parts:
            out = out + part
        return out

    def __add__(self, other: "UnitMoments") -> "UnitMoments":
        return UnitMoments(self.n + other.n, self.total + other.total, self.products + other.products)

    @property
    def mean(self) -> np.ndarray:
        """float64[k]; NaN of no unit."""
        return self.total / self.n if self.n else np.full(len(self.total), np.nan)

    @property
    def covariance(self) -> np.ndarray:
        """float64[k, k], unbiased (over n - 1); NaN of fewer than two units."""
        if self.n < 2:
            return np.full(self.products.shape, np.nan)
        return (self.products - np.outer(self.total, self.total) / self.n) / (self.n - 1)
