"""How alike pins are in content: cosines of topic or item vectors. NumPy only."""

import numpy as np


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length; zero rows stay zero."""
    norm = np.linalg.norm(matrix, axis=-1, keepdims=True)
    return np.divide(matrix, norm, out=np.zeros_like(matrix, dtype=np.float32), where=norm > 0)


def likeness(
    content: np.ndarray, of_queries: np.ndarray, weight: np.ndarray, of_recent: np.ndarray | None
) -> list[np.ndarray]:
    """Cosines of n unit rows with the weighted mean of Q rows, with the nearest of them, with the mean of recent ones.

    NaN for a user without actions (None) and for a request without query pins.
    """
    nothing = np.full(len(content), np.nan)
    history = nothing if of_recent is None else content @ unit_rows(of_recent.mean(axis=0))
    if not len(of_queries):
        return [nothing, nothing, history]
    mean = unit_rows((weight[:, None] * of_queries).sum(axis=0))
    return [content @ mean, (content @ of_queries.T).max(axis=1), history]
