"""The best k of many scores: radix selects, compiled. Knows nothing of walks."""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.graph.packing import DEGREE_MAX

_U = np.uint64
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)


@nb.njit(cache=True, nogil=True)
def lower_bound(scores, n, k, bins):  # type: ignore[no-untyped-def]
    """A score that at least k of the first n reach; no more than 1/1000 below the best such score."""
    prefix = _cut(scores.view(np.uint32), n, k, bins, 2)[0]
    return np.array([prefix], np.uint32).view(np.float32)[0]


@nb.njit(cache=True, nogil=True)
def _cut(bits, n, k, bins, levels):  # type: ignore[no-untyped-def]
    """Radix select: (prefix, its mask, how many of those with it are wanted, how many have it)."""
    prefix = np.uint32(0)
    prefix_mask = np.uint32(0)
    wanted = min(k, n)
    ties = n
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
def select(scores, pins, pin_index, n, k, bins, keys, priority):  # type: ignore[no-untyped-def]
    """keys uint64[:m]: `~score bits << 32 | index` of the m = min(n, k) best of n, best first.

    A radix select on the float bits (scores are positive, so bits order like values). Of equal scores at the cut, pins
    of higher degree are kept: walks of any length visit a pin in proportion to it, so more of its visits are to come.
    What is equal then, too, or without a `pin_index`, is thinned evenly instead of keeping the lowest indices.

    scores: float32, n or more. pins: uint32 or int32[n]. bins: int64[2048] scratch. priority: uint32 scratch of n.
    """
    bits = scores.view(np.uint32)
    prefix, prefix_mask, wanted, ties = _cut(bits, n, k, bins, 3)
    least = np.uint32(0)
    least_mask = np.uint32(0)
    if ties > wanted and pin_index.size:
        for i in range(n):
            tied = bits[i] & prefix_mask == prefix
            priority[i] = np.uint32(pin_index[pins[i]] & _U(DEGREE_MAX)) + np.uint32(1) if tied else np.uint32(0)
        least, least_mask, wanted, ties = _cut(priority, n, wanted, bins, 3)
    m = 0
    carry = 0
    for i in range(n):
        head = bits[i] & prefix_mask
        keep = head > prefix
        if head == prefix and least_mask and priority[i] & least_mask != least:
            keep = priority[i] & least_mask > least
        elif head == prefix:
            carry += wanted
            keep = carry >= ties
            carry -= ties * int(keep)
        if keep:
            keys[m] = (_U(~bits[i]) & _LOW32) << _SHIFT32 | _U(i)
            m += 1
    keys[:m].sort()
    return m
