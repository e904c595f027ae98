"""The pins most alike each pin, with a weight: rows of fixed width, memory-mapped. Knows nothing of measures.

On disk: {name}.ids.npy int32[m, k], -1 where a row has fewer · {name}.weights.npy float32[m, k] · {name}.rows.npy
int32[n], the row of each pin, -1 for none: a pin that is like no other costs 4 bytes (absent where every pin has one).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import BundleError
from cluster.graph.bounds import check_within

if TYPE_CHECKING:
    import scipy.sparse as sp  # 10 MB that no replica needs


@dataclass(frozen=True)
class Neighbours:
    """A row says which pins follow from a pin, and by how much. Read-only; safe to share between threads."""

    ids: np.ndarray  # int32[m, k], the graph's pin index; -1 where a row has fewer than k
    weights: np.ndarray  # float32[m, k], 0 there
    rows: np.ndarray | None = None  # int32[n], the row of each pin, -1: it has none; None: row h is that of pin h

    def __len__(self) -> int:
        """n, the pins."""
        return len(self.ids if self.rows is None else self.rows)

    def row_of(self, pins: np.ndarray) -> np.ndarray:
        """int32[h]: the row of each pin, -1 for one without neighbours that has none."""
        pins = np.asarray(pins, np.int32)
        return pins if self.rows is None else self.rows[pins]

    def save(self, folder: Path, name: str) -> None:
        """Writes what `open` maps."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.ids.npy", self.ids)
        np.save(folder / f"{name}.weights.npy", self.weights)
        if self.rows is not None:
            np.save(folder / f"{name}.rows.npy", self.rows)

    @classmethod
    def open(cls, folder: Path, name: str) -> "Neighbours | None":
        """Maps the files of `save`; None when there are none. Raises BundleError when they do not fit together.

        Bundles from before pins without an edge were in the graph have a row for every pin, and no file of rows.
        """
        if not (folder / f"{name}.ids.npy").exists():
            return None
        try:
            ids, weights = (np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("ids", "weights"))
            told = (folder / f"{name}.rows.npy").exists()
            rows = np.asarray(np.load(folder / f"{name}.rows.npy", mmap_mode="r")) if told else None
        except (OSError, ValueError) as error:
            raise BundleError(f"cannot open the similar pins in {folder}: {error}; build the graph again") from None
        if ids.shape != weights.shape or ids.ndim != 2 or (rows is not None and rows.ndim != 1):
            raise BundleError(f"the similar pins in {folder} differ in length; build the graph again")
        return cls(np.asarray(ids), np.asarray(weights), rows)

    def check(self, what: str) -> None:
        """Raises BundleError where a row names a pin that there is not: sums over rows are compiled and trust them."""
        check_within(what, self.ids, -1, len(self))

    @classmethod
    def strongest(cls, rows: "sp.csr_array | np.ndarray", k: int) -> "Neighbours":
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

    def of_pins(self, pins: np.ndarray, n: int) -> "Neighbours":
        """The rows of pins 0 .. m-1 as those of `pins` int[m], each once, among n; the others have no neighbours."""
        if np.array_equal(pins, np.arange(n)):
            return self
        rows = np.full(n, -1, np.int32)
        rows[pins] = self.row_of(np.arange(len(pins)))
        return Neighbours(self.ids, self.weights, rows)

    def moved(self, to: np.ndarray, n: int) -> "Neighbours":
        """`of_pins` where the neighbours are renamed as well: pin i has become `to[i]`, int[m], of n pins."""
        ids = np.where(self.ids >= 0, to[self.ids], -1).astype(np.int32)
        return Neighbours(ids, self.weights, self.rows).of_pins(to, n)
