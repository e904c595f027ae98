"""Choose the k best scores, ties to the lower index. Knows nothing of models.

Scores become integers that sort downwards; a histogram of their top 11 bits finds the bucket that holds the k-th, and
only what lies above it or in it is sorted, by counting, 8 bits at a time. Counting sort keeps equal scores in order.
"""

import numpy as np
from numba import njit

_BUCKETS = 2048


@njit(cache=True, nogil=True)
def _key(bits):  # type: ignore[no-untyped-def]
    """uint32 that sorts downwards by the float of these bits; both zeros are one."""
    if bits == np.uint32(0x80000000):
        bits = np.uint32(0)
    return bits if bits >> np.uint32(31) else np.uint32(0x7FFFFFFF) - bits


@njit(cache=True, nogil=True)
def _select(scores, k):  # type: ignore[no-untyped-def]
    """(index int32[k], score float32[k]) of the k <= n best of float32[n]."""
    n = len(scores)
    bits = scores.view(np.uint32)
    keys = np.empty(n, np.uint32)
    for i in range(n):
        keys[i] = _key(bits[i])

    # The bucket that holds the k-th score, and how many scores lie above it or in it.
    counts = np.zeros(_BUCKETS, np.int32)
    for i in range(n):
        counts[keys[i] >> np.uint32(21)] += np.int32(1)
    total = np.int64(0)
    bucket = np.uint32(0)
    while total < k:
        total += counts[bucket]
        bucket += np.uint32(1)

    # Those scores, in the order they came.
    index = np.empty(total + 1, np.int32)
    other = np.empty(total + 1, np.int32)
    kept = np.int64(0)
    for i in range(n):
        index[kept] = i  # written always, kept if it counts: no branch to guess
        kept += np.int64((keys[i] >> np.uint32(21)) < bucket)

    # Sorted by counting, the lowest 8 bits first.
    digits = np.zeros((4, 256), np.int32)
    for i in range(total):
        key = keys[index[i]]
        for part in range(4):
            digits[part, (key >> np.uint32(8 * part)) & np.uint32(255)] += np.int32(1)
    for part in range(4):
        at = np.int32(0)
        for digit in range(256):
            here = digits[part, digit]
            digits[part, digit] = at
            at += here
        for i in range(total):
            digit = (keys[index[i]] >> np.uint32(8 * part)) & np.uint32(255)
            other[digits[part, digit]] = index[i]
            digits[part, digit] += np.int32(1)
        index, other = other, index

    best = np.empty(k, np.float32)
    chosen = np.empty(k, np.int32)
    for i in range(k):
        chosen[i] = index[i]
        best[i] = scores[index[i]]
    return chosen, best


def top_k(margins: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(index int32[k], score float32[k]) of float32[n], best first; k is capped at n. Equal scores keep their order.

    A NaN score has no defined rank. Scores of several outputs are refused: choose one first (ValueError).
    """
    if margins.ndim != 1:
        raise ValueError("top needs one score per candidate; combine a model's several outputs first")
    scores = np.ascontiguousarray(margins, np.float32)
    found: tuple[np.ndarray, np.ndarray] = _select(
        scores if scores.flags.writeable else scores.copy(), min(max(k, 0), len(scores))
    )
    return found
