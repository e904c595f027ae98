"""From raw visits to the best candidates: counting, multi-hit boost, selection. Knows nothing of edges.

Visits are dealt into buckets of 2^shift pins and, within a bucket, by query pin. One entry is uint32, visits << 16 |
offset into the bucket. One bucket's counters stay in the fast caches whatever the size of the graph; one counter a pin
would miss on each visit. Counters are int32: an entry's visits fit 16 bits, a pin's total never overflows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from cluster.graph.walk_groups import WEIGHT_MAX

_U = np.uint64
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_OFFSET = np.uint32(0xFFFF)
_VISITS = np.uint32(16)


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
    """Writes the visits to `out` uint32, ordered by (bucket, query); `ends` int32 gets where each group ends."""
    one, many, times, hist = trail
    total = 0
    for key in range(ends.size):
        ends[key] = total
        total += hist[key]
    mask = (_U(1) << shift) - _U(1)
    for t in range(n):
        walker = one[t]
        pin = walker & _LOW32
        key = (pin >> shift) * queries + (walker >> _SHIFT32)
        at = ends[key]
        out[_U(at)] = (pin & mask) | _U(1 << 16)
        ends[key] = at + 1
    for t in range(n_many):
        walker, left = many[t], times[t]
        pin = walker & _LOW32
        key = (pin >> shift) * queries + (walker >> _SHIFT32)
        while left > 0:
            part = min(left, WEIGHT_MAX)
            out[ends[key]] = (pin & mask) | _U(part) << _U(16)
            ends[key] += 1
            left -= part


@nb.njit(cache=True, nogil=True)
def count_high(groups, ends, queries, counters, n_v, high):  # type: ignore[no-untyped-def]
    """high int64[Q]: how many pins have at least `n_v` visits from each query (early stopping)."""
    per_query, unique = counters.per_query, counters.unique
    high[:] = 0
    start = 0
    for key in range(ends.size):
        n_unique = 0
        for t in range(start, ends[key]):
            x = groups[t] & _OFFSET
            unique[n_unique] = x
            n_unique += int(per_query[x] == 0)
            per_query[x] += groups[t] >> _VISITS
        for u in range(n_unique):
            high[key % queries] += int(per_query[unique[u]] >= n_v)
            per_query[unique[u]] = 0
        start = ends[key]


@nb.njit(cache=True, nogil=True)
def collect_one(groups, ends, shift, counters, excluded, min_visits, pin_index, discount, k, bins, out):  # type: ignore[no-untyped-def]
    """`collect` for one query pin, whose boosted visit count is the visit count."""
    total, touched = counters.total, counters.touched
    n, at_excluded, start, floor, look_at = 0, 0, 0, np.float32(0.0), max(4 * k, 4096)
    for bucket in range(ends.size):
        n_touched, first = 0, bucket << shift
        for t in range(start, ends[bucket]):
            x = groups[t] & _OFFSET
            touched[n_touched] = x
            n_touched += int(total[x] == 0)
            total[x] += groups[t] >> _VISITS
        start = ends[bucket]
        while at_excluded < excluded.size and excluded[at_excluded] < first + (1 << shift):
            total[excluded[at_excluded] - first] = 0
            at_excluded += 1
        for u in range(n_touched):
            x = touched[u]
            visits = total[x]
            total[x] = 0
            score = np.float32(visits)
            if visits >= min_visits and score >= floor:
                if discount.size:
                    degree = np.int64(pin_index[first + x] & _U(0xFFFFFF))
                    score *= discount[min(degree, discount.size - 1)]
                    if score < floor:
                        continue
                out.pin[n], out.score[n], out.visits[n] = first + x, score, visits
                n += 1
        if n >= look_at:
            floor, look_at = lower_bound(out.score, n, k, bins), 2 * n
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
    n, at_excluded, start, look_at = 0, 0, 0, max(4 * k, 4096)
    floor, boost_floor = np.float32(0.0), np.float32(0.0)
    wants_total = min_visits > 1
    for bucket in range(ends.size // queries):
        n_touched, first = 0, bucket << shift
        for q in range(queries):
            end = ends[bucket * queries + q]
            n_unique = 0
            for t in range(start, end):
                x = groups[t] & _OFFSET
                unique[n_unique] = x
                n_unique += int(per_query[x] == 0)
                per_query[x] += groups[t] >> _VISITS
            start = end
            for u in range(n_unique):
                x = unique[u]
                count = per_query[x]
                per_query[x] = 0
                touched[n_touched] = x
                n_touched += int(boost[x] == 0)
                boost[x] += powers[count] if count < powers.size else np.float32(count) ** exponent
                if wants_total:
                    total[x] += count
        while at_excluded < excluded.size and excluded[at_excluded] < first + (1 << shift):
            boost[excluded[at_excluded] - first] = 0
            at_excluded += 1
        for u in range(n_touched):
            x = touched[u]
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
                    degree = np.int64(pin_index[first + x] & _U(0xFFFFFF))
                    score *= discount[min(degree, discount.size - 1)]
                if score >= floor:
                    out.pin[n], out.score[n] = first + x, score
                    n += 1
        if n >= look_at:
            floor, look_at = lower_bound(out.score, n, k, bins), 2 * n
            boost_floor = np.float32(floor**exponent * np.float32(0.9999))
    return n


@nb.njit(cache=True, nogil=True)
def lower_bound(scores, n, k, bins):  # type: ignore[no-untyped-def]
    """A score that at least k of the first n reach; no more than 1/1000 below the best such score."""
    prefix = _cut(scores.view(np.uint32), n, k, bins, 2)[0]
    return np.array([prefix], np.uint32).view(np.float32)[0]


@nb.njit(cache=True, nogil=True)
def _cut(bits, n, k, bins, levels):  # type: ignore[no-untyped-def]
    """Radix select: (prefix, its mask, how many of those with it are wanted, how many have it)."""
    prefix, prefix_mask, wanted, ties = np.uint32(0), np.uint32(0), min(k, n), n
    if n > k:
        for level in range(levels):
            shift = np.uint32(21) if level == 0 else (np.uint32(10) if level == 1 else np.uint32(0))
            width = np.uint32(1023) if level == 2 else np.uint32(2047)
            bins[:] = 0
            for i in range(n):
                if bits[i] & prefix_mask == prefix:
                    bins[(bits[i] >> shift) & width] += 1
            at = np.int64(width)
            while bins[at] < wanted:
                wanted -= bins[at]
                at -= 1
            ties = bins[at]
            prefix |= np.uint32(np.uint32(at) << shift)
            prefix_mask |= np.uint32(width << shift)
            if ties == wanted:  # the whole bin is kept: no need to look inside
                break
    return prefix, prefix_mask, wanted, ties


@nb.njit(cache=True, nogil=True)
def select(scores, n, k, bins, keys):  # type: ignore[no-untyped-def]
    """keys uint64[:m]: `~score bits << 32 | position` of the m = min(n, k) best of n, best first.

    A radix select on the float bits (scores are positive, so bits order like values). Equal scores at the cut are
    thinned evenly over the pins instead of keeping the lowest indices.
    """
    bits = scores.view(np.uint32)
    prefix, prefix_mask, wanted, ties = _cut(bits, n, k, bins, 3)
    m, carry = 0, 0
    for i in range(n):
        head = bits[i] & prefix_mask
        keep = head > prefix
        if head == prefix:
            carry += wanted
            keep = carry >= ties
            carry -= ties * int(keep)
        if keep:
            keys[m] = (_U(~bits[i]) & _LOW32) << _SHIFT32 | _U(i)
            m += 1
    keys[:m].sort()
    return m
