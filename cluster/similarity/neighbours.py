"""The pins most alike each pin, with a weight: one fixed-width row a pin, memory-mapped. Knows nothing of measures.

On disk: {name}.ids.npy int32[n, k], -1 where a row has fewer · {name}.weights.npy float32[n, k].
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from cluster.errors import BundleError
from cluster.graph.bounds import check_within


@dataclass(frozen=True)
class Neighbours:
    """Row h says which pins follow from pin h, and by how much. Read-only; safe to share between threads."""

    ids: np.ndarray  # int32[n, k], the graph's pin index; -1 where a row has fewer than k
    weights: np.ndarray  # float32[n, k], 0 there

    def __len__(self) -> int:
        return len(self.ids)

    def save(self, folder: Path, name: str) -> None:
        """Writes what `open` maps."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.ids.npy", self.ids)
        np.save(folder / f"{name}.weights.npy", self.weights)

    @classmethod
    def open(cls, folder: Path, name: str) -> "Neighbours | None":
        """Maps the files of `save`; None when there are none. Raises BundleError when they do not fit together."""
        if not (folder / f"{name}.ids.npy").exists():
            return None
        try:
            ids, weights = (np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("ids", "weights"))
        except (OSError, ValueError) as error:
            raise BundleError(f"cannot open the similar pins in {folder}: {error}; build the graph again") from None
        if ids.shape != weights.shape or ids.ndim != 2:
            raise BundleError(f"the similar pins in {folder} differ in length; build the graph again")
        return cls(np.asarray(ids), np.asarray(weights))

    def check(self, what: str) -> None:
        """Raises BundleError where a row names a pin that there is not: sums over rows are compiled and trust them."""
        check_within(what, self.ids, -1, len(self))

    @classmethod
    def strongest(cls, rows: sp.csr_array | np.ndarray, k: int) -> "Neighbours":
        """The k entries of largest magnitude of each row (dense or sparse), strongest first; zeros are none."""
        n, width = rows.shape
        k = min(k, width)
        ids = np.full((n, k), -1, np.int32)
        weights = np.zeros((n, k), np.float32)
        for row in range(n):
            if isinstance(rows, np.ndarray):
                columns = np.flatnonzero(rows[row])
                values = rows[row, columns]
            else:
                part = slice(rows.indptr[row], rows.indptr[row + 1])
                columns, values = rows.indices[part], rows.data[part]
            size = np.abs(values)
            kept = np.argpartition(-size, k)[:k] if len(size) > k else np.arange(len(size))
            kept = kept[np.lexsort((columns[kept], -size[kept]))]
            kept = kept[values[kept] != 0]
            ids[row, : len(kept)] = columns[kept]
            weights[row, : len(kept)] = values[kept]
        return cls(ids, weights)

    @classmethod
    def stacked(cls, parts: "list[Neighbours]", k: int) -> "Neighbours":
        """The rows of several parts, one part after the other, all k wide."""
        ids = np.full((sum(len(part) for part in parts), k), -1, np.int32)
        weights = np.zeros(ids.shape, np.float32)
        at = 0
        for part in parts:
            rows = slice(at, at + len(part))
            ids[rows, : part.ids.shape[1]] = part.ids
            weights[rows, : part.ids.shape[1]] = part.weights
            at += len(part)
        return cls(ids, weights)

    def moved(self, to: np.ndarray, n: int) -> "Neighbours":
        """The same rows where pin i has become `to[i]`, int64, of n pins; new pins have no neighbours."""
        ids = np.full((n, self.ids.shape[1]), -1, np.int32)
        weights = np.zeros(ids.shape, np.float32)
        ids[to] = np.where(self.ids >= 0, to[self.ids], -1)
        weights[to] = self.weights
        return Neighbours(ids, weights)
