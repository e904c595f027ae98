"""One request, compiled end to end: walk, count, stop early, select, trace. Knows nothing of ids."""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.walk.count import collect, collect_one, count_high, deal
from cluster.walk.groups import walk_levels
from cluster.walk.kernel import Trail
from cluster.walk.select import select
from cluster.walk.trace import trace


@nb.njit(cache=True, nogil=True)
def run_request(  # type: ignore[no-untyped-def]
    graph, memory, starts, from_board, walks, live_below, bias_below, bias_start, bias_end, seed, shift, n_p, n_v,
    excluded, min_visits, exponent, powers, discount, top_k, by_query, pins, scores, visits, hits,
):  # fmt: skip
    """One request from walks to sorted outputs; returns (candidates kept, steps walked)."""
    queries = starts.size
    buckets = ((graph.pin_index.size - 1) >> shift) + 1
    trail = Trail(memory.trail.one, memory.trail.many, memory.trail.times, memory.trail.hist[: buckets * queries])
    ends, counters, groups = memory.ends[: buckets * queries], memory.counters, memory.groups
    trail.hist[:] = 0
    wide_shift, wide_queries = np.uint64(shift), np.uint64(queries)
    bias = (bias_below, bias_start, bias_end)
    zero = np.uint64(0)
    state, n, n_many, steps = seed, zero, zero, zero
    left, part = walks.copy(), np.zeros_like(walks)
    high = np.zeros(queries, np.int64)
    rounds = 4 if n_p > 0 and n_v > 0 else 1
    for turn in range(rounds):  # shares 1/8, 1/8, 1/4, 1/2: recounting costs less than one more full count
        share = 1 if turn == rounds - 1 else (4 if turn == 2 else 8)
        for q in range(queries):
            part[q] = left[q] if share == 1 else min(left[q], (walks[q] + share - 1) // share)
            left[q] -= part[q]
        n, n_many, more, state = walk_levels(
            graph, memory.lanes, memory.living, starts, from_board, part, live_below, bias, state, trail, n, n_many,
            wide_shift,
        )  # fmt: skip
        steps += more
        deal(trail, n, n_many, wide_shift, wide_queries, ends, groups)
        if turn < rounds - 1:
            count_high(groups, ends, queries, counters, n_v, high)
            for q in range(queries):
                if high[q] >= n_p:
                    left[q] = 0
    found = memory.candidates
    if queries == 1:
        n_found = collect_one(
            groups, ends, shift, counters, excluded, min_visits, graph.pin_index, discount, top_k, memory.bins, found
        )
    else:
        n_found = collect(
            groups, ends, queries, shift, counters, excluded, min_visits, exponent, powers, graph.pin_index, discount,
            top_k, memory.bins, found,
        )  # fmt: skip
    priority = trail.one.view(np.uint32)  # the walk is dealt: its visits are free to be written over
    m = select(found.score, found.pin, graph.pin_index, n_found, top_k, memory.bins, memory.keys, priority)
    chosen = memory.chosen[:m]
    for i in range(m):
        at = memory.keys[i] & np.uint64(0xFFFFFFFF)
        pins[i], scores[i] = found.pin[at], found.score[at]
        chosen[i] = np.uint64(pins[i]) << np.uint64(32) | np.uint64(i + 1)
        if queries == 1:
            visits[i], hits[i], by_query[i + 1, 0] = found.visits[at], 1, found.visits[at]
    if queries > 1:
        chosen.sort()
        trace(groups, ends, queries, wide_shift, chosen, memory.slots, trail.one, by_query)
        for i in range(m):
            total, reached = 0, 0
            for q in range(queries):
                total += by_query[i + 1, q]
                reached += int(by_query[i + 1, q] > 0)
            visits[i], hits[i] = total, reached
    return m, steps
