"""Choose the k best scores, ties to the lower index. Knows nothing of models.

Scores become integers that sort downwards; a histogram of their top 11 bits finds the bucket that holds the k-th, and
only what lies above it or in it is sorted, by counting, 11 bits at a time. Counting sort keeps equal scores in order.
"""

import numpy as np
from numba import njit

_BITS, _BUCKETS = 11, 2048


@njit(cache=True, nogil=True)
def _key(bits):  # type: ignore[no-untyped-def]
    """uint32 that sorts downwards by the float of these bits; both zeros are one."""
    if bits == np.uint32(0x80000000):
        bits = np.uint32(0)
    return bits if bits >> np.uint32(31) else np.uint32(0x7FFFFFFF) - bits


@njit(cache=True, nogil=True)
def _select(bits, k):  # type: ignore[no-untyped-def]
    n = len(bits)
    counts = np.zeros(_BUCKETS, np.int32)
    keys = np.empty(n, np.uint32)
    for i in range(n):
        keys[i] = _key(bits[i])
        counts[keys[i] >> np.uint32(21)] += 1
    total, bucket = 0, 0
    while total < k:
        total += counts[bucket]
        bucket += 1
    index, other = np.empty(total, np.int32), np.empty(total, np.int32)
    kept = 0
    for i in range(n):
        if kept < total and keys[i] >> np.uint32(21) < bucket:
            index[kept] = i
            kept += 1
    for shift in (0, _BITS, 2 * _BITS):
        counts[:] = 0
        for i in range(total):
            counts[(keys[index[i]] >> np.uint32(shift)) & np.uint32(_BUCKETS - 1)] += 1
        at = 0
        for b in range(_BUCKETS):
            here = counts[b]
            counts[b] = at
            at += here
        for i in range(total):
            b = (keys[index[i]] >> np.uint32(shift)) & np.uint32(_BUCKETS - 1)
            other[counts[b]] = index[i]
            counts[b] += 1
        index, other = other, index
    return index[:k].copy()


def top_k(margins: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(index int32[k], score float32[k]) of float32[n], best first; k is capped at n. Equal scores keep their order.

    A NaN score has no defined place. Scores of several outputs are refused: choose one first (ValueError).
    """
    if margins.ndim != 1:
        raise ValueError("top needs one score per candidate; combine a model's several outputs first")
    k = min(max(k, 0), len(margins))
    index = _select(np.ascontiguousarray(margins, np.float32).view(np.uint32), k)
    return index, margins[index]
