"""What a user's pins say of the candidates of one request: sums and maxima over rows of `Neighbours`. NumPy and numba.

The rows of the user's pins are few and long, the candidates many: each row is read once, and a table as long as the
graph tells which of its pins are candidates.
"""

import threading
from dataclasses import dataclass, field

import numba as nb
import numpy as np

from cluster.graph.packing import frozen
from cluster.similarity.neighbours import Neighbours


@dataclass(frozen=True)
class Slots:
    """Which of a graph's pins are candidates of the request at hand. One table a thread, cleared after each use."""

    _local: threading.local = field(default_factory=threading.local, repr=False)

    def of(self, n_pins: int) -> np.ndarray:
        """int32[n_pins] of -1."""
        table = getattr(self._local, "table", None)
        if table is None or len(table) != n_pins:
            table = self._local.table = np.full(n_pins, -1, np.int32)
        return table


SLOTS = Slots()


def spread(table: Neighbours, pins: np.ndarray, share: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """float32[n, C]: for each candidate the sum over H pins of share[h, c] times its weight in the row of pin h.

    pins int32[H], share float32[H, C], candidates int32[n], each once; all indices of the table's graph.
    """
    out = np.zeros((len(candidates), share.shape[1]), np.float32)
    _spread(*_rows(table), _plain(pins, np.int32), _plain(share, np.float32), *_slots(table, candidates), out)
    return out


def strongest_of(table: Neighbours, pins: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """float32[n]: for each candidate its largest weight in the rows of `pins`, int32[H]; 0 where no row has it."""
    out = np.zeros(len(candidates), np.float32)
    _strongest(*_rows(table), _plain(pins, np.int32), *_slots(table, candidates), out)
    return out


def warm() -> None:
    """Compiles, or loads what was compiled before, so that no request waits for it."""
    table = Neighbours(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32))
    pins = np.zeros(1, np.int32)
    spread(table, pins, np.ones((1, 1), np.float32), pins)
    strongest_of(table, pins, pins)


def _rows(table: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    return frozen(table.ids), frozen(table.weights)


def _slots(table: Neighbours, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _plain(candidates, np.int32), SLOTS.of(len(table))


def _plain(array: np.ndarray, dtype: type) -> np.ndarray:
    """Contiguous and read-only: one type for the compiler, wherever the array came from."""
    return frozen(np.ascontiguousarray(array, dtype))


@nb.njit(cache=True, nogil=True)
def _spread(ids, weights, pins, share, candidates, slots, out):  # type: ignore[no-untyped-def]
    for i in range(candidates.size):
        slots[candidates[i]] = i
    columns = share.shape[1]
    for h in range(pins.size):
        row = pins[h]
        for j in range(ids.shape[1]):
            pin = ids[row, j]
            if pin < 0:
                break
            slot = slots[pin]
            if slot >= 0:
                weight = weights[row, j]
                for c in range(columns):
                    out[slot, c] += share[h, c] * weight
    for i in range(candidates.size):
        slots[candidates[i]] = -1


@nb.njit(cache=True, nogil=True)
def _strongest(ids, weights, pins, candidates, slots, out):  # type: ignore[no-untyped-def]
    for i in range(candidates.size):
        slots[candidates[i]] = i
    for h in range(pins.size):
        row = pins[h]
        for j in range(ids.shape[1]):
            pin = ids[row, j]
            if pin < 0:
                break
            slot = slots[pin]
            if slot >= 0:
                out[slot] = max(out[slot], weights[row, j])
    for i in range(candidates.size):
        slots[candidates[i]] = -1
