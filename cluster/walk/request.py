"""One request, compiled end to end: walk, count, stop early, select, trace. Knows nothing of ids."""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.walk.arrays import Dealt, WalkCounts
from cluster.walk.count import collect, collect_one, count_high, deal
from cluster.walk.levels import walk_levels
from cluster.walk.select import select
from cluster.walk.trace import trace

_U = np.uint64
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_ROUNDS = (8, 8, 4, 1)
"""Early stopping counts after 1/8, 1/8 and 1/4 of the walks: recounting costs less than one more full count."""


@nb.njit(cache=True, nogil=True)
def run_request(graph, memory, starts, rules, stopping, scoring, seed, answer):  # type: ignore[no-untyped-def]
    """One request from walks to a sorted answer: (candidates kept, steps walked).

    stopping: (n_p, n_v) of `WalkParams`; seed: uint64 state of the random stream. The arguments are described in
    `cluster.walk.arrays`; `memory` must fit the request (`cluster.walk.memory`).
    """
    n_pins = _U(graph.pin_index.size - 1)
    buckets = (n_pins >> rules.shift) + _U(1)
    ends = memory.ends[: np.int64(buckets * rules.queries)]
    dealt = Dealt(memory.entries, ends, rules.shift, rules.queries)
    memory.walking.trail.hist[: ends.size] = 0
    steps = _walk_in_rounds(graph, memory, starts, rules, stopping, scoring.allowed, seed, dealt)
    kept = _choose(graph, memory, scoring, dealt, answer)
    _tell_hits(memory, dealt, kept, answer)
    return kept, steps


@nb.njit(inline="always")
def _walk_in_rounds(graph, memory, starts, rules, stopping, allowed, seed, dealt):  # type: ignore[no-untyped-def]
    """Walks and deals all visits, or until every query has `n_p` allowed pins with `n_v` visits; returns the steps."""
    n_p, n_v = stopping
    queries = starts.nodes.size
    left = starts.walks.copy()
    part = np.zeros_like(left)
    high = np.zeros(queries, np.int64)
    state = seed
    walked = WalkCounts(_U(0), _U(0), _U(0))
    turn = 0 if n_p > 0 and n_v > 0 else len(_ROUNDS) - 1
    while turn < len(_ROUNDS):
        share = _ROUNDS[turn]
        for q in range(queries):
            part[q] = left[q] if share == 1 else min(left[q], (starts.walks[q] + share - 1) // share)
            left[q] -= part[q]
        walked, state = walk_levels(graph, memory.walking, starts, part, rules, walked, state)
        deal(memory.walking.trail, walked, dealt)
        turn += 1
        if turn < len(_ROUNDS):
            count_high(dealt, memory.counters, n_v, allowed, high)
            for q in range(queries):
                if high[q] >= n_p:
                    left[q] = 0
    return walked.steps


@nb.njit(inline="always")
def _choose(graph, memory, scoring, dealt, answer):  # type: ignore[no-untyped-def]
    """Writes the best pins and their scores (of one query their visits, too); returns how many."""
    found = memory.candidates
    bins, keys, chosen, _ = memory.choosing
    alone = dealt.queries == _U(1)
    if alone:
        n = collect_one(dealt, memory.counters, scoring, graph.pin_index, bins, found)
    else:
        n = collect(dealt, memory.counters, scoring, graph.pin_index, bins, found)
    priority = memory.walking.trail.one.view(np.uint32)  # the walk is dealt: its visits are free to be written over
    kept = select(found.score, found.pin, graph.pin_index, n, scoring.top_k, bins, keys, priority)
    for i in range(kept):
        at = keys[i] & _LOW32
        answer.pins[i] = found.pin[at]
        answer.scores[i] = found.score[at]
        chosen[i] = _U(found.pin[at]) << _SHIFT32 | _U(i + 1)
        if alone:
            answer.by_query[i + 1, 0] = found.visits[at]
    return kept


@nb.njit(inline="always")
def _tell_hits(memory, dealt, kept, answer):  # type: ignore[no-untyped-def]
    """Writes the visits of the chosen pins, by query and in all, and how many queries reached them."""
    by_query = answer.by_query
    if dealt.queries > _U(1):
        chosen = memory.choosing.chosen[:kept]
        chosen.sort()
        trace(dealt, chosen, memory.choosing.slots, memory.walking.trail.one, by_query)
    for i in range(kept):
        total = 0
        reached = 0
        for q in range(dealt.queries):
            total += by_query[i + 1, q]
            reached += int(by_query[i + 1, q] > 0)
        answer.visits[i] = total
        answer.hits[i] = reached
