"""The nearest vectors to a query, exactly, among those that may be shown: filtered before the cut, so k are found.

First all rows as bytes (`scan`), of which the best `MORE` * k are scored again by the vectors themselves. Up to about a
million rows this is faster than approximate indexes under filters, and misses nothing that they would.
"""

import numpy as np

from cluster.content.quantised import LEVELS, Quantised, quantise
from cluster.content.scan import scan_all, scan_listed

MORE = 4
"""Rows scored again by their own numbers, for each that is asked for."""

FEW = 0.5
"""Below this share of rows that may be shown only those are read."""

NOBODY = np.empty(0, bool)


class VectorIndex:
    """Inner products of a query with vectors float[N, W], which stay the caller's: they may be mapped from a file."""

    def __init__(self, vectors: np.ndarray, quantised: Quantised | None = None):
        """`quantised` where it was made before."""
        self._vectors = vectors
        self._quantised = quantise(vectors) if quantised is None else quantised

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def bytes(self) -> np.ndarray:
        """int8[N, C, LINE]: what a search among all rows reads."""
        return self._quantised.rows

    def top(self, query: np.ndarray, k: int, may: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(row int32[m], inner product float32[m]) of the best m = min(k, rows that may be), best first.

        `query` float[W], finite; `may` bool[N], or the rows themselves as int32[M]. Equal products in order of rows.
        """
        rows, scale = self._quantised.rows, self._quantised.scale
        listed = self._listed(may)
        keep = min(MORE * k, len(rows) if listed is None else len(listed))
        if keep <= 0:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        levels = self._levels(query)
        if listed is not None:
            found, _ = scan_listed(rows, scale, levels, listed, keep)
        else:
            found, _ = scan_all(rows, scale, levels, NOBODY if may is None else may, keep)
        found.sort()
        products = np.asarray(self._vectors[found], np.float32) @ np.asarray(query, np.float32)
        best = np.argsort(-products, kind="stable")[:k]
        return found[best], products[best]

    @staticmethod
    def _listed(may: np.ndarray | None) -> np.ndarray | None:
        """The rows to read, or None for all."""
        if may is None:
            return None
        if may.dtype != bool:
            return np.ascontiguousarray(may, np.int32)
        return np.flatnonzero(may).astype(np.int32) if np.count_nonzero(may) < FEW * len(may) else None

    def _levels(self, query: np.ndarray) -> np.ndarray:
        """The query as int16[C, LINE] of 255 levels; its scale changes no order."""
        most = float(np.abs(query).max(initial=0.0)) or 1.0
        _, lines, line = self._quantised.rows.shape
        levels = np.zeros(lines * line, np.int16)
        levels[: len(query)] = np.rint(np.asarray(query, np.float64) / most * LEVELS)
        return levels.reshape(lines, line)
