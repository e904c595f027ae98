"""Boards dealt to parts by the pins that they share. Knows nothing of walks.

Restreamed linear deterministic greedy (Stanton and Kliot, KDD 2012; Nishimura and Ugander, KDD 2013): boards come in a
random order, several times, and each goes where a walk from it would stay most, times the room that is left there.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.graph.csr import Graph

SLACK = 1.05
"""Edges of the largest part, over those of the mean one, that are aimed at."""


def near_parts(graph: Graph, parts: int, passes: int = 10, seed: int = 0) -> np.ndarray:
    """int16[n_boards]: a part for each board. Takes int32[n_pins, parts] of memory and passes x edges x parts steps."""
    rng = np.random.default_rng(seed)
    part = np.full(graph.n_boards, -1, np.int16)
    beside = np.zeros((graph.n_pins, parts), np.int32)
    edges = np.zeros(parts, np.int64)
    room = max(SLACK * graph.n_edges / parts, 1.0)
    weight = 1.0 / np.maximum(graph.pin_degree, 1)
    for _ in range(passes):
        order = rng.permutation(graph.n_boards)
        _restream(graph.board_offsets, graph.board_pins, weight, order, room, part, beside, edges)
    return part


@nb.njit(cache=True, nogil=True)
def _restream(offsets, pins, weight, order, room, part, beside, edges):  # type: ignore[no-untyped-def]
    """Gives each board of `order` a part anew.

    beside int32[n_pins, parts]: boards of each pin in each part. edges int64[parts].
    """
    parts = edges.size
    stays = np.empty(parts)
    for board in order:
        start = offsets[board]
        end = offsets[board + 1]
        old = part[board]
        if old >= 0:
            edges[old] -= end - start
            for e in range(start, end):
                beside[pins[e], old] -= 1
        stays[:] = 0.0
        for e in range(start, end):
            for s in range(parts):
                stays[s] += weight[pins[e]] * beside[pins[e], s]
        best = 0
        best_score = -np.inf
        for s in range(parts):
            left = 1.0 - edges[s] / room
            score = stays[s] * left if left > 0.0 else left
            if score > best_score or (score == best_score and edges[s] < edges[best]):
                best = s
                best_score = score
        part[board] = best
        edges[best] += end - start
        for e in range(start, end):
            beside[pins[e], best] += 1
