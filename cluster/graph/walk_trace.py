"""Provenance: which query pins reached the chosen candidates, and how often each. Knows nothing of scores."""

from __future__ import annotations

import numba as nb
import numpy as np

_U = np.uint64
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_OFFSET = np.uint32(0xFFFF)
_VISITS = np.uint32(16)


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
                    by_query[slots[groups[t] & _OFFSET], q] += groups[t] >> _VISITS
                start = end
            for i in range(begin, at):
                slots[(chosen[i] >> _SHIFT32) - first] = 0
        start = ends[bucket * queries + queries - 1]
