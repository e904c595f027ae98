"""One request, compiled end to end: walk, count, stop early, select, trace. Knows nothing of ids."""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.graph.walk_count import collect, count_high, deal, select, trace
from cluster.graph.walk_kernel import walk_levels


@nb.njit(cache=True, nogil=True)
def run_request(  # type: ignore[no-untyped-def]
    graph, memory, starts, from_board, walks, live_below, bias_below, bias_start, bias_end, seed, shift, n_p, n_v,
    excluded, min_visits, exponent, powers, discount, top_k, by_query, pins, scores, visits, hits,
):  # fmt: skip
    """One request from walks to sorted outputs; returns (candidates kept, steps walked)."""
    queries = starts.size
    buckets = ((graph.pin_index.size - 1) >> shift) + 1
    hist, ends = memory.hist[: buckets * queries], memory.ends[: buckets * queries]
    hist[:] = 0
    wide_shift = np.uint64(shift)
    state, n, limit = seed, 0, memory.visited.size
    left, part = walks.copy(), np.zeros_like(walks)
    high = np.zeros(queries, np.int64)
    rounds = 4 if n_p > 0 and n_v > 0 else 1
    for turn in range(rounds):  # shares 1/8, 1/8, 1/4, 1/2: recounting costs less than one more full count
        share = 1 if turn == rounds - 1 else (4 if turn == 2 else 8)
        for q in range(queries):
            part[q] = left[q] if share == 1 else min(left[q], (walks[q] + share - 1) // share)
            left[q] -= part[q]
        n, state = walk_levels(
            graph, memory.lanes, starts, from_board, part, live_below, bias_below, bias_start, bias_end, state,
            memory.alive, memory.visited, n, limit, wide_shift, hist,
        )  # fmt: skip
        deal(memory.visited, n, wide_shift, np.uint64(queries), hist, ends, memory.groups)
        if turn < rounds - 1:
            count_high(memory.groups, ends, queries, memory.counters, n_v, high)
            for q in range(queries):
                if high[q] >= n_p:
                    left[q] = 0
    n_candidates = collect(
        memory.groups,
        ends,
        queries,
        shift,
        memory.counters,
        excluded,
        min_visits,
        exponent,
        powers,
        graph.pin_index,
        discount,
        memory.candidates,
    )
    m = select(memory.candidates.score, n_candidates, top_k, memory.bins, memory.keys)
    chosen = memory.chosen[:m]
    for i in range(m):
        at = memory.keys[i] & np.uint64(0xFFFFFFFF)
        pins[i], scores[i] = memory.candidates.pin[at], memory.candidates.score[at]
        visits[i], hits[i] = memory.candidates.visits[at], memory.candidates.hits[at]
        chosen[i] = np.uint64(pins[i]) << np.uint64(32) | np.uint64(i + 1)
    if queries == 1:
        for i in range(m):
            by_query[i + 1, 0] = visits[i]
    else:
        chosen.sort()
        trace(memory.groups, ends, queries, wide_shift, chosen, memory.slots, by_query)
    return m, n
