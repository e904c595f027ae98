"""Pixie as the paper describes it: one walker, hash counters. For tests and benches only; the product never calls it.

`pixie_python` is the obvious version for tests; `plain_pixie` is the same algorithm compiled, the yardstick of the
bench. Neither knows of ids or of threads.
"""

from __future__ import annotations

import random

import numba as nb
import numpy as np

from cluster.graph.csr import Graph
from cluster.walk.intrinsics import draw, multiply_wide
from cluster.walk.prepare import allowed_pins
from cluster.walk.select import select
from cluster.walk.weights import allocate

_U = np.uint64


def pixie_python(graph: Graph, pin: int, steps: int, restart: float, seed: int) -> np.ndarray:
    """int64[n_pins] visits of `steps` steps from one query pin, in plain Python."""
    rng = random.Random(seed)
    visits = np.zeros(graph.n_pins, np.int64)
    at = pin
    for _ in range(steps):
        board = graph.pin_boards[rng.randrange(graph.pin_offsets[at], graph.pin_offsets[at + 1])]
        at = graph.board_pins[rng.randrange(graph.board_offsets[board], graph.board_offsets[board + 1])]
        visits[at] += 1
        if rng.random() < restart:
            at = pin
    return visits


@nb.njit(cache=True, nogil=True)
def _slot(keys, key, mask):  # type: ignore[no-untyped-def]
    """Where `key` is or belongs in an open-addressing table whose free slots hold -1."""
    at = (_U(key) * _U(0x9E3779B97F4A7C15)) >> _U(32) & _U(mask)
    while keys[at] != -1 and keys[at] != key:
        at = (at + _U(1)) & _U(mask)
    return at


@nb.njit(cache=True, nogil=True)
def _table_size(entries):  # type: ignore[no-untyped-def]
    """A power of two that is at most half full with so many entries."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@nb.njit(cache=True, nogil=True)
def _plain(halves, pins, budget, restart, seed, stopping, allowed, k):  # type: ignore[no-untyped-def]
    pin_offsets, pin_boards, board_offsets, board_pins = halves
    n_p, n_v = stopping
    total = 0
    for q in range(pins.size):
        total += budget[q]
    size = _table_size(total)
    keys = np.full(size, -1, np.int32)
    boost = np.zeros(size, np.float32)
    state = _U(seed)
    for q in range(pins.size):
        if budget[q] == 0:
            continue

        q_size = _table_size(budget[q])
        q_keys = np.full(q_size, -1, np.int32)
        q_counts = np.zeros(q_size, np.int32)
        at = pins[q]
        high = 0
        for _ in range(budget[q]):  # the walk
            state, word = draw(state)
            degree = _U(pin_offsets[at + 1] - pin_offsets[at])
            board = pin_boards[pin_offsets[at] + np.int64(multiply_wide(word, degree)[0])]
            state, word = draw(state)
            degree = _U(board_offsets[board + 1] - board_offsets[board])
            at = board_pins[board_offsets[board] + np.int64(multiply_wide(word, degree)[0])]
            slot = _slot(q_keys, at, q_size - 1)
            q_keys[slot] = at
            q_counts[slot] += 1
            if q_counts[slot] == n_v:
                high += 1
                if high >= n_p > 0:
                    break
            state, word = draw(state)
            if np.float64(word) < restart * 18446744073709551616.0:
                at = pins[q]

        for s in range(q_size):  # the boost of its visits
            if q_keys[s] >= 0:
                slot = _slot(keys, q_keys[s], size - 1)
                keys[slot] = q_keys[s]
                boost[slot] += np.sqrt(np.float32(q_counts[s]))

    n = 0
    scores = np.empty(total, np.float32)
    found = np.empty(total, np.int32)
    for s in range(size):
        if keys[s] >= 0 and (allowed.size == 0 or allowed[keys[s]]):
            scores[n] = boost[s] * boost[s]
            found[n] = keys[s]
            n += 1
    chosen = np.empty(k, _U)
    no_index = np.zeros(0, _U)
    no_scratch = np.zeros(0, np.uint32)
    m = select(scores, found, no_index, n, k, np.zeros(2048, np.int64), chosen, no_scratch)
    best = (chosen[:m] & _U(0xFFFFFFFF)).astype(np.int64)
    return found[best], scores[best]


def plain_pixie(
    graph: Graph,
    pins: np.ndarray,
    weights: np.ndarray,
    steps: int,
    restart: float,
    k: int,
    seed: int,
    n_p: int = 0,
    n_v: int = 0,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(pins int32[m], boosted visit counts float32[m]), best first; the query pins are not dropped.

    allowed: bool[n_pins], the only pins that may be answered.
    """
    budget = allocate(graph.pin_degree[pins], weights, graph.max_pin_degree, steps, "log")
    halves = (graph.pin_offsets, graph.pin_boards, graph.board_offsets, graph.board_pins)
    only = allowed_pins(allowed, graph.n_pins)
    return _plain(halves, pins.astype(np.int64), np.rint(budget).astype(np.int64), restart, seed, (n_p, n_v), only, k)
