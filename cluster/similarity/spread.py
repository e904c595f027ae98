"""What a user's pins say of the candidates of one request: sums and maxima over rows of `Neighbours`.

The rows of the user's pins are few and long, the candidates many: each row is read once, and a table as long as the
graph tells which of its pins are candidates. NumPy and numba.
"""

import threading
from dataclasses import dataclass, field

import numba as nb
import numpy as np

from cluster.graph.packing import frozen
from cluster.similarity.neighbours import Neighbours


@dataclass(frozen=True)
class Slots:
    """Which of a graph's pins are candidates of the request at hand. Tables a thread keeps, cleared after each use."""

    _local: threading.local = field(default_factory=threading.local, repr=False)

    def of(self, n_pins: int) -> tuple[np.ndarray, np.ndarray]:
        """int32[n_pins] of -1, and a bit a pin, uint64[n_pins / 64], 0: few enough for a core's own cache."""
        tables = getattr(self._local, "tables", None)
        if tables is None or len(tables[0]) != n_pins:
            bits = np.zeros((n_pins >> 6) + 1, np.uint64)
            tables = self._local.tables = (np.full(n_pins, -1, np.int32), bits)
        return tables


SLOTS = Slots()


def spread(table: Neighbours, pins: np.ndarray, share: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """float32[n, C + 1]: for each candidate the sum over H pins of share[h, c] times its weight in the row of pin h.

    The last column is its largest weight in the rows of pins whose first share is not 0; 0 where no row has it.
    pins int32[H], share float32[H, C], candidates int32[n], each once; all indices of the table's graph.
    """
    out = np.zeros((len(candidates), share.shape[1] + 1), np.float32)
    candidates = _plain(candidates, np.int32)
    _spread(
        frozen(table.ids),
        frozen(table.weights),
        _plain(table.row_of(pins), np.int32),
        _plain(share, np.float32),
        candidates,
        *SLOTS.of(len(table)),
        out,
    )
    return out


def warm() -> None:
    """Compiles, or loads what was compiled before, so that no request waits for it."""
    table = Neighbours(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32))
    pins = np.zeros(1, np.int32)
    spread(table, pins, np.ones((1, 1), np.float32), pins)


def _plain(array: np.ndarray, dtype: type) -> np.ndarray:
    """Contiguous and read-only: one type for the compiler, wherever the array came from."""
    return frozen(np.ascontiguousarray(array, dtype))


@nb.njit(cache=True, nogil=True)
def _spread(ids, weights, rows, share, candidates, slots, bits, out):  # type: ignore[no-untyped-def]
    one = np.uint64(1)
    for i in range(candidates.size):
        pin = candidates[i]
        slots[pin] = i
        bits[pin >> 6] |= one << np.uint64(pin & 63)
    columns = share.shape[1]
    for h in range(rows.size):
        row = rows[h]
        wanted = False
        for c in range(columns):
            wanted |= share[h, c] != 0
        if row < 0 or not wanted:
            continue
        counts = share[h, 0] != 0
        for j in range(ids.shape[1]):
            pin = ids[row, j]
            if pin < 0:
                break
            if (bits[pin >> 6] >> np.uint64(pin & 63)) & one:
                slot = slots[pin]
                weight = weights[row, j]
                for c in range(columns):
                    out[slot, c] += share[h, c] * weight
                if counts and weight > out[slot, columns]:
                    out[slot, columns] = weight
    for i in range(candidates.size):
        pin = candidates[i]
        slots[pin] = -1
        bits[pin >> 6] = np.uint64(0)
