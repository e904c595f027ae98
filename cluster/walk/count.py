"""From raw visits to scored candidates: counting, multi-hit boost. Knows nothing of edges.

Visits are dealt into buckets of 2^shift pins and, within a bucket, by query pin. One entry is uint32, visits << 16 |
offset into the bucket. One bucket's counters stay in the fast caches whatever the size of the graph; one counter a pin
would miss on each visit. Counters are int32: an entry's visits fit 16 bits, a pin's total never overflows. Indices are
uint64, as numba looks at the sign of others at each access.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from cluster.graph.packing import DEGREE_MAX
from cluster.walk.groups import WEIGHT_MAX
from cluster.walk.kernel import prefetch
from cluster.walk.select import lower_bound

_U = np.uint64
_ONE = _U(1)
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_OFFSET = np.uint32(0xFFFF)
_VISITS = np.uint32(16)
_LINE = _U(16)  # entries in a cache line


class Counters(NamedTuple):
    """One bucket's accumulators, 2^shift entries each; all zero between requests."""

    per_query: Any  # int32: visits from the query pin in hand
    total: Any  # int32
    boost: Any  # float32: sum over query pins of visits^boost
    unique: Any  # uint16: distinct pins of the query in hand
    touched: Any  # uint16: distinct pins of the bucket


class Candidates(NamedTuple):
    """Distinct pins of a request, one entry each."""

    pin: Any  # uint32
    score: Any  # float32
    visits: Any  # int32; filled for one query pin only, `trace` finds them for many


@nb.njit(cache=True, nogil=True)
def deal(trail, n, n_many, shift, queries, ends, out):  # type: ignore[no-untyped-def]
    """Writes the visits to `out` uint32, ordered by (bucket, query); `ends` uint32 gets where each group ends."""
    one, many, times, hist = trail
    total = _U(0)
    for key in range(_U(ends.size)):
        ends[key] = total
        total += _U(hist[key])
    for line in range(_U(0), total, _LINE):  # the walk has pushed them out of the caches; in order they come back fast
        prefetch(out, line)
    mask = (_ONE << shift) - _ONE
    for t in range(n):
        walker = one[t]
        pin = walker & _LOW32
        key = (pin >> shift) * queries + (walker >> _SHIFT32)
        at = ends[key]
        out[_U(at)] = (pin & mask) | _U(1 << 16)
        ends[key] = at + 1
    for t in range(n_many):
        walker, left = many[t], _U(times[t])
        pin = walker & _LOW32
        key = (pin >> shift) * queries + (walker >> _SHIFT32)
        while left > _U(0):
            part = min(left, _U(WEIGHT_MAX))
            out[_U(ends[key])] = (pin & mask) | part << _U(16)
            ends[key] += 1
            left -= part


@nb.njit(cache=True, nogil=True)
def count_high(groups, ends, queries, counters, n_v, high):  # type: ignore[no-untyped-def]
    """high int64[Q]: how many pins have at least `n_v` visits from each query (early stopping)."""
    per_query, unique = counters.per_query, counters.unique
    high[:] = 0
    start = _U(0)
    for key in range(_U(ends.size)):
        n_unique, end = _U(0), _U(ends[key])
        for t in range(start, end):
            x = _U(groups[t] & _OFFSET)
            before = per_query[x]
            unique[n_unique] = x
            n_unique += _U(before == 0)
            per_query[x] = before + np.int32(groups[t] >> _VISITS)
        for u in range(n_unique):
            x = _U(unique[u])
            high[key % _U(queries)] += int(per_query[x] >= n_v)
            per_query[x] = 0
        start = end


@nb.njit(cache=True, nogil=True)
def collect_one(groups, ends, shift, counters, excluded, min_visits, pin_index, discount, k, bins, out):  # type: ignore[no-untyped-def]
    """`collect` for one query pin, whose boosted visit count is the visit count."""
    total, touched = counters.total, counters.touched
    n, at_excluded, start, floor, look_at = _U(0), 0, _U(0), np.float32(0.0), _U(max(4 * k, 4096))
    for bucket in range(_U(ends.size)):
        n_touched, first, end = _U(0), bucket << _U(shift), _U(ends[bucket])
        for t in range(start, end):
            x = _U(groups[t] & _OFFSET)
            before = total[x]
            touched[n_touched] = x
            n_touched += _U(before == 0)
            total[x] = before + np.int32(groups[t] >> _VISITS)
        start = end
        while at_excluded < excluded.size and _U(excluded[at_excluded]) < first + (_ONE << _U(shift)):
            total[_U(excluded[at_excluded]) - first] = 0
            at_excluded += 1
        for u in range(n_touched):
            x = _U(touched[u])
            visits = total[x]
            total[x] = 0
            score = np.float32(visits)
            if visits >= min_visits and score >= floor:
                if discount.size:
                    degree = np.int64(pin_index[first + x] & _U(DEGREE_MAX))
                    score *= discount[min(degree, discount.size - 1)]
                    if score < floor:
                        continue
                out.pin[n], out.score[n], out.visits[n] = first + x, score, visits
                n += _ONE
        if n >= look_at:
            floor, look_at = lower_bound(out.score, n, k, bins), _U(2) * n
    return n


@nb.njit(cache=True, nogil=True)
def collect(  # type: ignore[no-untyped-def]
    groups, ends, queries, shift, counters, excluded, min_visits, exponent, powers, pin_index, discount, k, bins, out
):
    """Fills `out` with the distinct pins that may be among the k best; returns how many.

    Left out: excluded pins, pins with fewer than `min_visits`, and pins that k others are already better than.
    excluded: sorted int32. powers: float32[P] of visits^exponent for fewer than P visits. discount: float32[D] of
    degree^-beta for degrees below D; the last entry stands for all above (empty: no discount).
    """
    per_query, total, boost, unique, touched = counters
    n, at_excluded, start, look_at = _U(0), 0, _U(0), _U(max(4 * k, 4096))
    floor, boost_floor = np.float32(0.0), np.float32(0.0)
    wants_total, known = min_visits > 1, _U(powers.size)
    for bucket in range(_U(ends.size) // _U(queries)):
        n_touched, first = _U(0), bucket << _U(shift)
        for q in range(_U(queries)):
            end = _U(ends[bucket * _U(queries) + q])
            n_unique = _U(0)
            for t in range(start, end):
                x = _U(groups[t] & _OFFSET)
                before = per_query[x]
                unique[n_unique] = x
                n_unique += _U(before == 0)
                per_query[x] = before + np.int32(groups[t] >> _VISITS)
            start = end
            for u in range(n_unique):
                x = _U(unique[u])
                count = _U(per_query[x])
                per_query[x] = 0
                before_boost = boost[x]
                touched[n_touched] = x
                n_touched += _U(before_boost == 0)
                boost[x] = before_boost + (powers[count] if count < known else np.float32(count) ** exponent)
                if wants_total:
                    total[x] += np.int32(count)
        while at_excluded < excluded.size and _U(excluded[at_excluded]) < first + (_ONE << _U(shift)):
            boost[_U(excluded[at_excluded]) - first] = 0
            at_excluded += 1
        for u in range(n_touched):
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
                    degree = np.int64(pin_index[first + x] & _U(DEGREE_MAX))
                    score *= discount[min(degree, discount.size - 1)]
                if score >= floor:
                    out.pin[n], out.score[n] = first + x, score
                    n += _ONE
        if n >= look_at:
            floor, look_at = lower_bound(out.score, n, k, bins), _U(2) * n
            boost_floor = np.float32(floor**exponent * np.float32(0.9999))
    return n
