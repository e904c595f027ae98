"""From raw visits to scored candidates: counting, multi-hit boost. Knows nothing of edges.

Visits are dealt into buckets of 2^shift pins and, within a bucket, by query pin. One bucket's counters stay in the fast
caches whatever the size of the graph; one counter a pin would miss on each visit. Counters are int32: an entry's visits
fit 16 bits, a pin's total never overflows.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.graph.packing import DEGREE_MAX
from cluster.walk.intrinsics import prefetch
from cluster.walk.select import lower_bound
from cluster.walk.visits import WEIGHT_MAX

_U = np.uint64
_ZERO = _U(0)
_ONE = _U(1)
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_OFFSET = np.uint32(0xFFFF)
_VISITS = np.uint32(16)
_LINE = _U(16)  # entries in a cache line


@nb.njit(cache=True, nogil=True)
def deal(trail, walked, dealt):  # type: ignore[no-untyped-def]
    """Writes the visits of a trail to `dealt`, ordered by (bucket, query)."""
    one, many, times, hist = trail
    entries, ends, shift, queries = dealt
    total = _ZERO
    for key in range(_U(ends.size)):
        ends[key] = total
        total += _U(hist[key])
    for line in range(_ZERO, total, _LINE):  # the walk has pushed them out of the caches; in order they come back fast
        prefetch(entries, line)
    mask = (_ONE << shift) - _ONE
    for t in range(walked.one):
        visit = one[t]
        pin = visit & _LOW32
        key = (pin >> shift) * queries + (visit >> _SHIFT32)
        at = ends[key]
        entries[_U(at)] = (pin & mask) | _U(1 << 16)
        ends[key] = at + 1
    for t in range(walked.many):
        visit = many[t]
        left = _U(times[t])
        pin = visit & _LOW32
        key = (pin >> shift) * queries + (visit >> _SHIFT32)
        while left > _ZERO:
            part = min(left, _U(WEIGHT_MAX))
            entries[_U(ends[key])] = (pin & mask) | part << _U(16)
            ends[key] += 1
            left -= part


@nb.njit(inline="always")
def _add_up(entries, start, end, counts, distinct):  # type: ignore[no-untyped-def]
    """Adds entries [start, end) to `counts`; `distinct` gets the offsets that were 0 before. Returns how many."""
    n = _ZERO
    for t in range(start, end):
        x = _U(entries[t] & _OFFSET)
        before = counts[x]
        distinct[n] = x
        n += _U(before == 0)
        counts[x] = before + np.int32(entries[t] >> _VISITS)
    return n


@nb.njit(inline="always")
def _bar(scoring, at, first, past, touched, n_touched, counts):  # type: ignore[no-untyped-def]
    """Zeroes the counts of a bucket's pins that are no candidates; returns the next `at`.

    Those excluded in [first, past), from `excluded[at]` on, and of the touched ones those that are not allowed.
    """
    excluded = scoring.excluded
    while at < excluded.size and _U(excluded[at]) < past:
        counts[_U(excluded[at]) - first] = 0
        at += 1
    if scoring.allowed.size:
        for u in range(n_touched):
            x = _U(touched[u])
            if not scoring.allowed[first + x]:
                counts[x] = 0
    return at


@nb.njit(inline="always")
def _discounted(score, pin, pin_index, discount):  # type: ignore[no-untyped-def]
    degree = np.int64(pin_index[pin] & _U(DEGREE_MAX))
    return score * discount[min(degree, discount.size - 1)]


@nb.njit(cache=True, nogil=True)
def count_high(dealt, counters, n_v, allowed, high):  # type: ignore[no-untyped-def]
    """high int64[Q]: how many allowed pins have at least `n_v` visits from each query (early stopping)."""
    per_query = counters.per_query
    high[:] = 0
    start = _ZERO
    for key in range(_U(dealt.ends.size)):
        end = _U(dealt.ends[key])
        n_unique = _add_up(dealt.entries, start, end, per_query, counters.unique)
        start = end
        for u in range(n_unique):
            x = _U(counters.unique[u])
            if not allowed.size or allowed[(key // dealt.queries << dealt.shift) + x]:
                high[key % dealt.queries] += int(per_query[x] >= n_v)
            per_query[x] = 0


@nb.njit(cache=True, nogil=True)
def collect_one(dealt, counters, scoring, pin_index, bins, out):  # type: ignore[no-untyped-def]
    """`collect` for one query, whose boosted visit count is the visit count; visits are noted, too."""
    _, _, min_visits, _, _, discount, k = scoring
    total = counters.total
    touched = counters.touched
    n = _ZERO
    start = _ZERO
    at_excluded = 0
    floor = np.float32(0.0)
    look_at = _U(max(4 * k, 4096))
    for bucket in range(_U(dealt.ends.size)):
        first = bucket << dealt.shift
        end = _U(dealt.ends[bucket])
        n_touched = _add_up(dealt.entries, start, end, total, touched)
        start = end
        past = first + (_ONE << dealt.shift)
        at_excluded = _bar(scoring, at_excluded, first, past, touched, n_touched, total)

        for u in range(n_touched):
            x = _U(touched[u])
            visits = total[x]
            total[x] = 0
            score = np.float32(visits)
            if visits >= min_visits and score >= floor:
                if discount.size:
                    score = _discounted(score, first + x, pin_index, discount)
                    if score < floor:
                        continue
                out.pin[n] = first + x
                out.score[n] = score
                out.visits[n] = visits
                n += _ONE

        if n >= look_at:
            floor = lower_bound(out.score, n, k, bins)
            look_at = _U(2) * n
    return n


@nb.njit(cache=True, nogil=True)
def collect(dealt, counters, scoring, pin_index, bins, out):  # type: ignore[no-untyped-def]
    """Fills `out` with the distinct pins that may be among the best; returns how many.

    Left out: excluded pins and those not allowed, pins with fewer than `min_visits`, and pins that `top_k` others are
    already better than.
    bins: int64[2048] scratch.
    """
    per_query, total, boost, unique, touched = counters
    _, _, min_visits, exponent, powers, discount, k = scoring
    n = _ZERO
    start = _ZERO
    at_excluded = 0
    floor = np.float32(0.0)
    boost_floor = np.float32(0.0)
    look_at = _U(max(4 * k, 4096))
    wants_total = min_visits > 1
    known = _U(powers.size)
    for bucket in range(_U(dealt.ends.size) // dealt.queries):
        first = bucket << dealt.shift
        n_touched = _ZERO
        for q in range(dealt.queries):  # the boost of each query's visits
            end = _U(dealt.ends[bucket * dealt.queries + q])
            n_unique = _add_up(dealt.entries, start, end, per_query, unique)
            start = end
            for u in range(n_unique):
                x = _U(unique[u])
                count = _U(per_query[x])
                per_query[x] = 0
                before = boost[x]
                touched[n_touched] = x
                n_touched += _U(before == 0)
                boost[x] = before + (powers[count] if count < known else np.float32(count) ** exponent)
                if wants_total:
                    total[x] += np.int32(count)
        past = first + (_ONE << dealt.shift)
        at_excluded = _bar(scoring, at_excluded, first, past, touched, n_touched, boost)

        for u in range(n_touched):  # the scores
            x = _U(touched[u])
            boosted = boost[x]
            boost[x] = 0
            if wants_total:
                visits = total[x]
                total[x] = 0
                if visits < min_visits:
                    continue
            if boosted > boost_floor:
                score = boosted * boosted if exponent == np.float32(0.5) else boosted ** (np.float32(1.0) / exponent)
                if discount.size:
                    score = _discounted(score, first + x, pin_index, discount)
                if score >= floor:
                    out.pin[n] = first + x
                    out.score[n] = score
                    n += _ONE

        if n >= look_at:
            floor = lower_bound(out.score, n, k, bins)
            boost_floor = np.float32(floor**exponent * np.float32(0.9999))
            look_at = _U(2) * n
    return n
