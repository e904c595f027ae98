"""Walks that travel alone: blocks of walkers in lockstep over a CSR graph, compiled. Knows nothing of ids or counting.

A step is pin -> board -> pin. Levels are cut into blocks of walkers; within a block each phase issues the memory
prefetches of the next, so that as many cache misses overlap instead of one following the other.

One 64-bit draw makes a whole step: multiplied by the pin's degree, its high word picks the board; the low word, still
uniform, multiplied by the board's degree picks the pin; what is left decides whether the walk lives on.

Where the edges hold links (`packing`), a walker is the link that led to its pin, with its query beside it; then a step
reads two random lines. Otherwise it is query and pin, and the indices of both nodes are read as well.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.graph.packing import DEGREE_MAX
from cluster.walk.arrays import BLOCK
from cluster.walk.intrinsics import (
    draw,
    first_at_least,
    holds_links,
    large_degree,
    multiply_wide,
    prefetch,
    unpack_entry,
)

_U = np.uint64
_ZERO = _U(0)
_ONE = _U(1)
_DEGREE_MAX = _U(DEGREE_MAX)
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)


@nb.njit(cache=True, nogil=True)
def step_singles(graph, walking, n_alive, rules, n, state):  # type: ignore[no-untyped-def]
    """One step of the first `n_alive` single walks; survivors move to the front.

    n: entries of `trail.one` in use. Returns (survivors, n, state); stops where the trail is full.
    """
    pin_index, pin_boards, board_index, board_pins, id_shift, degree_bits = graph
    linked = holds_links(pin_boards)
    offset_mask = (_ONE << (id_shift - degree_bits)) - _ONE
    degree_mask = (_ONE << degree_bits) - _ONE
    pos = walking.lanes.pos
    frac = walking.lanes.frac
    who = walking.lanes.who
    board = walking.lanes.board
    alive = walking.singles.walker
    query = walking.singles.query
    visited = walking.trail.one
    hist = walking.trail.hist
    live_below, bias_below, bias_start, bias_end, shift, queries = rules
    bias_start <<= id_shift
    bias_end <<= id_shift
    begin = _ZERO
    survivors = _ZERO
    room = _U(visited.size)
    while begin < n_alive and n < room:
        size = min(_U(BLOCK), n_alive - begin, room - n)

        if not linked:
            for j in range(size):
                prefetch(pin_index, alive[begin + j] & _LOW32)

        for j in range(size):  # a board of each pin
            walker = alive[begin + j]
            start = (walker >> degree_bits) & offset_mask
            degree = walker & degree_mask
            if not linked or degree == degree_mask:
                node = walker >> id_shift if linked else walker & _LOW32
                start, degree = unpack_entry(pin_index[node])
                if degree == _DEGREE_MAX:
                    degree = large_degree(pin_index, node, start)
            who[j] = query[begin + j] if linked else walker & ~_LOW32
            state, random = draw(state)
            high, frac[j] = multiply_wide(random, degree)
            pos[j] = start + high
            prefetch(pin_boards, pos[j])

        if not linked:
            for j in range(size):
                board[j] = _U(pin_boards[pos[j]])
                prefetch(board_index, board[j])

        for j in range(size):  # a pin of each board
            start, degree = unpack_entry(_U(pin_boards[pos[j]]) if linked else board_index[board[j]])
            if not linked and degree == _DEGREE_MAX:
                degree = large_degree(board_index, board[j], start)
            if bias_below:
                state, random = draw(state)
                if random < bias_below:  # only the subrange of neighbours that match; the whole range when none does
                    end = first_at_least(board_pins, start, start + degree, bias_end)
                    match = first_at_least(board_pins, start, end, bias_start)
                    if match < end:
                        start = match
                        degree = end - match
            high, frac[j] = multiply_wide(frac[j], degree)
            pos[j] = start + high
            prefetch(board_pins, pos[j])

        for j in range(size):  # visits and survivors
            walker = _U(board_pins[pos[j]])
            pin = walker >> id_shift if linked else walker
            visit = who[j] | pin
            visited[n] = visit
            n += _ONE
            hist[(pin >> shift) * queries + (who[j] >> _SHIFT32)] += 1
            if linked:  # never ahead of what this level still has to read
                alive[survivors] = walker
                query[survivors] = who[j]
            else:
                alive[survivors] = visit
            survivors += _U(frac[j] < live_below)
        begin += size
    return survivors, n, state
