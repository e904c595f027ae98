"""Counting sorts that turn edge lists into CSR and back, in linear time. Knows nothing of ids or files."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def group(keys, values, n):  # type: ignore[no-untyped-def]
    """CSR of `values` grouped by `keys` (counting sort, stable): offsets int64[n+1], grouped int32[E]."""
    offsets = np.zeros(n + 1, np.int64)
    for k in keys:
        offsets[k + 1] += 1
    for i in range(n):
        offsets[i + 1] += offsets[i]
    cursor = offsets[:-1].copy()
    out = np.empty(keys.size, np.int32)
    for e in range(keys.size):
        k = keys[e]
        out[cursor[k]] = values[e]
        cursor[k] += 1
    return offsets, out


@nb.njit(cache=True, nogil=True)
def transpose(offsets, values, n):  # type: ignore[no-untyped-def]
    """The other half of a CSR; its neighbours come out ascending because rows are visited in order."""
    out_offsets = np.zeros(n + 1, np.int64)
    for v in values:
        out_offsets[v + 1] += 1
    for i in range(n):
        out_offsets[i + 1] += out_offsets[i]
    cursor = out_offsets[:-1].copy()
    out = np.empty(values.size, np.int32)
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
