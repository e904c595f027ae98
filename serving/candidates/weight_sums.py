"""Sums of weights over the pins (or boards) that some nodes lead to: the arithmetic of most sources. NumPy and numba.

Only what is reached is touched: a request costs what it reads, not what the graph holds.
"""

import threading

import numba as nb
import numpy as np

from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX, frozen
from cluster.similarity.neighbours import Neighbours

MOST_EDGES = 4096
"""Edges of one node that are read; of a larger one every n-th, each for n."""

_local = threading.local()


class WeightSums:
    """Sums by index, of at most `n` things; a thread keeps the memory of it. Use it within one call."""

    def __init__(self, n: int):
        kept: list[np.ndarray] | None = getattr(_local, "kept", None)
        if kept is None or len(kept[0]) < n:
            kept = _local.kept = [np.zeros(n, np.float32), np.full(n, -1, np.int32), np.empty(n, np.int32)]
        self._sum: np.ndarray = kept[0]
        self._from: np.ndarray = kept[1]
        self._touched: np.ndarray = kept[2]
        self._n = 0

    def add_rows(self, table: Neighbours, pins: np.ndarray, share: np.ndarray) -> None:
        """share float32[H] times the weights in the row of each pin int32[H]."""
        ids, weights = frozen(table.ids), frozen(table.weights)
        rows, share = _plain(table.row_of(pins), np.int32), _plain(share, np.float32)
        self._n = _add_rows(ids, weights, rows, share, self._sum, self._from, self._touched, self._n)

    def add_edges(self, index: np.ndarray, edges: np.ndarray, nodes: np.ndarray, share: np.ndarray) -> None:
        """share float32[H] to every neighbour of each node int32[H]; `index` and `edges` are a half of the graph."""
        nodes, share = _plain(nodes, np.int32), _plain(share, np.float32)
        self._n = _add_edges(
            frozen(index), frozen(edges), nodes, share, MOST_EDGES, self._sum, self._from, self._touched, self._n
        )

    def take(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What was reached, int32[m], its sum, float32[m], and which of the nodes reached it first, int32[m].

        Nothing is left behind.
        """
        reached = self._touched[: self._n].copy()
        total, origin = self._sum[reached].copy(), self._from[reached].copy()
        self._sum[reached] = 0.0
        self._from[reached] = -1
        self._n = 0
        return reached, total, origin


def best(score: np.ndarray, budget: int) -> np.ndarray:
    """Rows of the `budget` largest positive scores float32[m], best first; equal ones in the order given."""
    rows = np.flatnonzero(score > 0)
    if len(rows) > budget:
        rows = rows[np.argpartition(-score[rows], budget - 1)[:budget]]
    return rows[np.lexsort((rows, -score[rows]))]


def warm() -> None:
    """Compiles, or loads what was compiled before, so that no request waits for it."""
    one, share = np.zeros(1, np.int32), np.ones(1, np.float32)
    sums = WeightSums(2)
    sums.add_rows(Neighbours(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32)), one, share)
    sums.add_edges(np.array([1, 1 << DEGREE_BITS], np.uint64), one, one, share)
    sums.take()


def _plain(array: np.ndarray, dtype: type) -> np.ndarray:
    return frozen(np.ascontiguousarray(array, dtype))


@nb.njit(cache=True, nogil=True)
def _add_rows(ids, weights, rows, share, total, origin, touched, n):  # type: ignore[no-untyped-def]
    for h in range(rows.size):
        if rows[h] < 0:
            continue
        for j in range(ids.shape[1]):
            pin = ids[rows[h], j]
            if pin < 0:
                break
            n = _add(pin, share[h] * weights[rows[h], j], h, total, origin, touched, n)
    return n


@nb.njit(cache=True, nogil=True)
def _add_edges(index, edges, nodes, share, most, total, origin, touched, n):  # type: ignore[no-untyped-def]
    for h in range(nodes.size):
        start = np.int64(index[nodes[h]] >> np.uint64(DEGREE_BITS))
        degree = np.int64(index[nodes[h]] & np.uint64(DEGREE_MAX))
        if degree == DEGREE_MAX:
            degree = np.int64(index[nodes[h] + 1] >> np.uint64(DEGREE_BITS)) - start
        end = start + degree
        stride = (end - start + most - 1) // most
        for at in range(start, end, max(stride, 1)):
            n = _add(edges[at], share[h] * np.float32(stride), h, total, origin, touched, n)
    return n


@nb.njit(cache=True, nogil=True, inline="always")
def _add(item, amount, node, total, origin, touched, n):  # type: ignore[no-untyped-def]
    if origin[item] < 0:
        touched[n] = item
        n += 1
        origin[item] = node
    elif node < origin[item]:  # edges of an earlier node, in a later part of the graph
        origin[item] = node
    total[item] += amount
    return n
