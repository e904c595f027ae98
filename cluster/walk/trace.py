"""Provenance: which query pins reached the chosen candidates, and how often each. Knows nothing of scores."""

from __future__ import annotations

import numba as nb
import numpy as np

_U = np.uint64
_ZERO = _U(0)
_ONE = _U(1)
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_ROW = _U(40)
_OFFSET = np.uint32(0xFFFF)
_VISITS = np.uint32(16)


@nb.njit(cache=True, nogil=True)
def trace(dealt, chosen, slots, matched, by_query):  # type: ignore[no-untyped-def]
    """by_query uint32[m + 1, Q]: visits of each chosen pin by query, from row 1 on.

    chosen uint64[m]: `pin << 32 | row` ascending; slots int32[2^shift], zero before and after; matched uint64 scratch
    for all entries of a bucket. Visits of chosen pins are picked out first: adding up everybody's, with a row for those
    not chosen, made each addition wait for the one before.
    """
    entries, ends, shift, queries = dealt
    at = _ZERO
    start = _ZERO
    for bucket in range(_U(ends.size) // queries):
        first = bucket << shift
        past = first + (_ONE << shift)
        begin = at
        while at < _U(chosen.size) and (chosen[at] >> _SHIFT32) < past:
            slots[(chosen[at] >> _SHIFT32) - first] = np.int32(chosen[at] & _LOW32)
            at += _ONE
        if at > begin:
            n = _ZERO
            for q in range(queries):
                end = _U(ends[bucket * queries + q])
                for t in range(start, end):
                    row = slots[_U(entries[t] & _OFFSET)]
                    matched[n] = _U(row) << _ROW | q << _U(16) | _U(entries[t] >> _VISITS)
                    n += _U(row != 0)
                start = end
            for i in range(n):
                found = matched[i]
                by_query[found >> _ROW, (found >> _U(16)) & _U(0xFFFFFF)] += np.uint32(found & _U(0xFFFF))
            for i in range(begin, at):
                slots[(chosen[i] >> _SHIFT32) - first] = 0
        start = _U(ends[bucket * queries + queries - _ONE])
