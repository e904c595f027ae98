"""Cosine likeness with shrinkage: pins on few boards are not sure of their neighbours (Sarwar et al., WWW 2001)."""

import numpy as np

from cluster.similarity.neighbours import Neighbours
from cluster.similarity.saves import Saves
from cluster.similarity.sparse import scaled, without_self


def cosine_rows(saves: Saves, pins: np.ndarray, k: int, shrinkage: float) -> Neighbours:
    """Rows of `pins`: boards together / (root of the product of both pins' boards + shrinkage)."""
    together = without_self(saves.together(pins), pins)
    row = np.repeat(np.arange(len(pins)), np.diff(together.indptr))
    root = np.sqrt(saves.degree[pins][row] * saves.degree[together.indices])
    return Neighbours.strongest(scaled(together, 1.0 / (root + shrinkage)), k)
