"""From raw visits to the best candidates: counting, multi-hit boost, selection, provenance. Knows nothing of edges.

Visits are dealt into buckets of 2^shift pins and, within a bucket, by query pin, as uint16 offsets into the bucket. One
bucket's counters stay in the fast caches whatever the size of the graph; one counter a pin would miss on each visit.
Counters are int32: a bucket's offset fits 16 bits, its counts never overflow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

_U = np.uint64
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_BITS = _U(24)


class Counters(NamedTuple):
    """One bucket's accumulators, 2^shift entries each; all zero between requests."""

    per_query: Any  # int32: visits from the query pin in hand
    total: Any  # int32
    boost: Any  # float32: sum over query pins of visits^boost
    hits: Any  # int16: query pins that reached the pin
    unique: Any  # uint16: distinct pins of the query in hand
    touched: Any  # uint16: distinct pins of the bucket


class Candidates(NamedTuple):
    """Distinct pins of a request, one entry each."""

    pin: Any  # uint32
    score: Any  # float32
    visits: Any  # int32
    hits: Any  # int16


@nb.njit(cache=True, nogil=True)
def deal(visited, n, shift, queries, hist, ends, out):  # type: ignore[no-untyped-def]
    """Writes the visits to `out` uint16[n], ordered by (bucket, query); `ends` int32 gets where each group ends."""
    total = 0
    for key in range(hist.size):
        ends[key] = total
        total += hist[key]
    mask = (_U(1) << shift) - _U(1)
    for t in range(n):
        walker = visited[t]
        pin = walker & _LOW32
        key = (pin >> shift) * queries + (walker >> _SHIFT32)
        at = ends[key]
        out[at] = pin & mask
        ends[key] = at + 1


@nb.njit(cache=True, nogil=True)
def count_high(groups, ends, queries, counters, n_v, high):  # type: ignore[no-untyped-def]
    """high int64[Q]: how many pins have at least `n_v` visits from each query (early stopping)."""
    per_query, unique = counters.per_query, counters.unique
    high[:] = 0
    start = 0
    for key in range(ends.size):
        n_unique = 0
        for t in range(start, ends[key]):
            x = groups[t]
            unique[n_unique] = x
            n_unique += int(per_query[x] == 0)
            per_query[x] += 1
        for u in range(n_unique):
            high[key % queries] += int(per_query[unique[u]] >= n_v)
            per_query[unique[u]] = 0
        start = ends[key]


@nb.njit(cache=True, nogil=True)
def collect(groups, ends, queries, shift, counters, excluded, min_visits, exponent, powers, pin_index, discount, out):  # type: ignore[no-untyped-def]
    """Fills `out` with every distinct pin that is not excluded and has `min_visits`; returns how many.

    excluded: sorted int32. powers: float32[P] of visits^exponent for fewer than P visits. discount: float32[D] of
    degree^-beta for degrees below D; the last entry stands for all above (empty: no discount).
    """
    per_query, total, boost, hits, unique, touched = counters
    n_candidates, at_excluded, start = 0, 0, 0
    for bucket in range(ends.size // queries):
        n_touched = 0
        for q in range(queries):
            end = ends[bucket * queries + q]
            n_unique = 0
            for t in range(start, end):
                x = groups[t]
                unique[n_unique] = x
                n_unique += int(per_query[x] == 0)
                per_query[x] += 1
            for u in range(n_unique):
                x = unique[u]
                count = per_query[x]
                per_query[x] = 0
                touched[n_touched] = x
                n_touched += int(total[x] == 0)
                total[x] += count
                boost[x] += powers[count] if count < powers.size else np.float32(count) ** exponent
                hits[x] += 1
            start = end
        first = bucket << shift
        while at_excluded < excluded.size and excluded[at_excluded] < first + (1 << shift):
            hits[excluded[at_excluded] - first] = 0
            at_excluded += 1
        for u in range(n_touched):
            x = touched[u]
            visits = total[x]
            if hits[x] > 0 and visits >= min_visits:
                if queries == 1:
                    score = np.float32(visits)  # (sqrt V)^2 without the rounding
                elif exponent == np.float32(0.5):
                    score = boost[x] * boost[x]
                else:
                    score = boost[x] ** (np.float32(1.0) / exponent)
                if discount.size:
                    degree = np.int64(pin_index[first + x] & _U(0xFFFFFF))
                    score *= discount[min(degree, discount.size - 1)]
                out.pin[n_candidates] = first + x
                out.score[n_candidates] = score
                out.visits[n_candidates] = visits
                out.hits[n_candidates] = hits[x]
                n_candidates += 1
            total[x] = 0
            boost[x] = 0
            hits[x] = 0
    return n_candidates


@nb.njit(cache=True, nogil=True)
def select(scores, n, k, bins, keys):  # type: ignore[no-untyped-def]
    """keys uint64[:m]: `~score bits << 32 | position` of the m = min(n, k) best of n, best first.

    A radix select on the float bits (scores are positive, so bits order like values). Equal scores at the cut are
    thinned evenly over the pins instead of keeping the lowest indices.
    """
    bits = scores.view(np.uint32)
    prefix, prefix_mask, wanted, ties = np.uint32(0), np.uint32(0), min(k, n), n
    if n > k:
        for level in range(3):
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


@nb.njit(cache=True, nogil=True)
def trace(groups, ends, queries, shift, chosen, slots, by_query):  # type: ignore[no-untyped-def]
    """by_query uint32[m + 1, Q]: visits of each chosen pin by query; row 0 collects everybody else.

    chosen uint64[m]: `pin << 32 | row` ascending; slots int32[2^shift], zero before and after.
    """
    at, start = 0, 0
    for bucket in range(ends.size // queries):
        first = _U(bucket) << shift
        past = first + (_U(1) << shift)
        begin = at
        while at < chosen.size and (chosen[at] >> _SHIFT32) < past:
            slots[(chosen[at] >> _SHIFT32) - first] = np.int32(chosen[at] & _LOW32)
            at += 1
        if at > begin:
            for q in range(queries):
                end = ends[bucket * queries + q]
                for t in range(start, end):
                    by_query[slots[groups[t]], q] += 1
                start = end
            for i in range(begin, at):
                slots[(chosen[i] >> _SHIFT32) - first] = 0
        start = ends[bucket * queries + queries - 1]
