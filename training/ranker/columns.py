"""Which logged features the full ranker takes as numbers and which as category embeddings. NumPy only.

Training rows and serving split with the same `Columns`, so that they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cluster.features.assemble import FeatureSet

LIGHTWEIGHT_SCORE = "lightweight_score"
"""The last candidate column of a ranker that sees how the lightweight ranker scores a candidate: its margin."""


@dataclass(frozen=True)
class Columns:
    """One side of a request's features: names of its dense and of its categorical columns, and where they stand."""

    names: tuple[str, ...]
    category_names: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], categorical: Sequence[str]) -> "Columns":
        """The columns of `names`; those also in `categorical` hold category codes."""
        return cls(tuple(names), tuple(name for name in names if name in categorical))

    @property
    def dense_names(self) -> tuple[str, ...]:
        """Columns that are numbers."""
        return tuple(name for name in self.names if name not in self.category_names)

    def split(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32[..., names] as (dense float32[..., D], category keys int64[..., K]); a missing code becomes key 0."""
        category = [self.names.index(name) for name in self.category_names]
        if not category:
            return values, np.zeros((*values.shape[:-1], 0), np.int64)
        dense = [at for at in range(len(self.names)) if at not in category]
        return values[..., dense], np.nan_to_num(values[..., category] + 1.0, nan=0.0).astype(np.int64)


def with_score(dense: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Dense candidate columns float32[n, C] and the lightweight margins float32[n] as float32[n, C + 1]."""
    return np.concatenate([dense, score.astype(np.float32)[:, None]], axis=1)


@lru_cache(maxsize=8)
def columns_of(features: FeatureSet) -> tuple[Columns, Columns]:
    """(request side, candidate side) of a project's features."""
    return Columns.of(features.shared, features.categorical), Columns.of(features.candidate, features.categorical)
