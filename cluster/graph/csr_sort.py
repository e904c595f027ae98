"""Counting sorts that turn edge lists into CSR and back, in linear time. Knows nothing of ids or files.

NumPy allocates the results, not Numba: NumPy asks Linux for huge pages, without which a random read costs 1.2 times.
"""

from __future__ import annotations

import numba as nb
import numpy as np


def group(keys: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """CSR of `values` grouped by `keys` (counting sort, stable): offsets int64[n+1], grouped int32[E]."""
    return _group(keys, values, n, np.empty(keys.size, np.int32))


@nb.njit(cache=True, nogil=True)
def _group(keys, values, n, out):  # type: ignore[no-untyped-def]
    offsets = np.zeros(n + 1, np.int64)
    for k in keys:
        offsets[k + 1] += 1
    for i in range(n):
        offsets[i + 1] += offsets[i]
    cursor = offsets[:-1].copy()
    for e in range(keys.size):
        k = keys[e]
        out[cursor[k]] = values[e]
        cursor[k] += 1
    return offsets, out


def transpose(offsets: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The other half of a CSR; its neighbours come out ascending because rows are visited in order."""
    return _transpose(offsets, values, n, np.empty(values.size, np.int32))


@nb.njit(cache=True, nogil=True)
def _transpose(offsets, values, n, out):  # type: ignore[no-untyped-def]
    out_offsets = np.zeros(n + 1, np.int64)
    for v in values:
        out_offsets[v + 1] += 1
    for i in range(n):
        out_offsets[i + 1] += out_offsets[i]
    cursor = out_offsets[:-1].copy()
    for row in range(offsets.size - 1):
        for e in range(offsets[row], offsets[row + 1]):
            v = values[e]
            out[cursor[v]] = row
            cursor[v] += 1
    return out_offsets, out


@nb.njit(cache=True, nogil=True)
def drop_repeats(offsets, values):  # type: ignore[no-untyped-def]
    """Removes equal neighbours within sorted rows, in place; returns the number kept."""
    kept = 0
    start = offsets[0]
    for row in range(offsets.size - 1):
        end = offsets[row + 1]
        for e in range(start, end):
            if e == start or values[e] != values[e - 1]:
                values[kept] = values[e]
                kept += 1
        start = end
        offsets[row + 1] = kept
    return kept
