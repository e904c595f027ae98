"""Visit probabilities after infinitely many steps, by power iteration. For tests and benches only."""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.graph.csr import Graph


@nb.njit(cache=True, nogil=True)
def _push(offsets, neighbours, mass, out):  # type: ignore[no-untyped-def]
    """Splits each node's mass evenly over its neighbours into `out` (zeroed first)."""
    out[:] = 0.0
    for node in range(mass.size):
        if mass[node] > 0.0:
            share = mass[node] / (offsets[node + 1] - offsets[node])
            for e in range(offsets[node], offsets[node + 1]):
                out[neighbours[e]] += share


def visit_distribution(graph: Graph, start: np.ndarray, restart: float, tolerance: float = 1e-9) -> np.ndarray:
    """float64[n_pins]: share of all visits each pin gets when walks start from `start` float64[n_pins] (sums to 1).

    The sum over L >= 1 of restart * (1 - restart)^(L-1) * P^L, until the part left out is below `tolerance`.
    """
    mass = start.astype(np.float64)
    boards = np.zeros(graph.n_boards)
    visits = np.zeros(graph.n_pins)
    alive = 1.0
    while alive > tolerance:
        _push(graph.pin_offsets, graph.pin_boards, mass, boards)
        _push(graph.board_offsets, graph.board_pins, boards, mass)
        visits += (alive * restart) * mass
        alive *= 1.0 - restart
    return visits
