"""The compiled scan: integer products of a query with rows of bytes, of which the best `keep` stay. Exact.

What is kept fills a buffer of twice the size; whenever it is full, its better half stays and the worst of that is the
bar for what comes. So no score is written that cannot be among the best, and the order of rows does not matter.
Against memory: 64 bytes a row are read once, and the arithmetic of a row takes less than the reading.
"""

import numpy as np
from numba import njit

ROWS = 512
"""Rows whose products are computed before any is looked at: their loop has no branch."""

LANES = 64
"""Bytes of a row that are multiplied in one go; a constant, so that it becomes a dozen vector instructions."""


@njit(cache=True, nogil=True, boundscheck=False)
def _product(row, query):  # type: ignore[no-untyped-def]
    """int8[LANES] · int16[LANES]. Its sums stay 32 bits wide in each step: else they take four times as long."""
    total = np.int32(0)
    for lane in range(LANES):
        total += np.int32(np.int16(row[lane]) * np.int16(query[lane]))
    return total


@njit(cache=True, nogil=True, boundscheck=False)
def _keep_best(index, score, held, keep):  # type: ignore[no-untyped-def]
    """The `keep` best of the first `held` come first, in no order; the bar: what is to be beaten, not equalled."""
    bar = np.partition(score[:held], held - keep)[held - keep]
    kept = 0
    for above in (True, False):  # those that equal the bar fill what is left
        for i in range(held):
            if kept < keep and (score[i] > bar if above else score[i] == bar):
                index[kept], index[i] = index[i], index[kept]
                score[kept], score[i] = score[i], score[kept]
                kept += 1
    return bar


@njit(cache=True, nogil=True, boundscheck=False)
def scan_all(rows, scale, query, may, keep):  # type: ignore[no-untyped-def]
    """(index int32[m], score float32[m]), m <= keep, in no order: int8[N, C, LANES] · int16[C, LANES] times float32[N].

    `may` bool[N] leaves rows out; of length 0 it leaves out none. Every row is read.
    """
    n = len(rows)
    index = np.empty(2 * keep, np.int32)
    score = np.empty(2 * keep, np.float32)
    products = np.empty(ROWS, np.int32)
    held = 0
    bar = np.float32(-np.inf)
    for start in range(0, n, ROWS):
        some = min(ROWS, n - start)
        products[:some] = 0
        for part in range(len(query)):
            for row in range(some):
                products[row] += _product(rows[start + row, part], query[part])
        for row in range(some):
            value = np.float32(products[row]) * scale[start + row]
            if value > bar and (len(may) == 0 or may[start + row]):
                index[held] = start + row
                score[held] = value
                held += 1
                if held == 2 * keep:
                    bar = _keep_best(index, score, held, keep)
                    held = keep
    if held > keep:
        _keep_best(index, score, held, keep)
        held = keep
    return index[:held], score[:held]


@njit(cache=True, nogil=True, boundscheck=False)
def scan_listed(rows, scale, query, listed, keep):  # type: ignore[no-untyped-def]
    """The same over the rows int32[M] alone; no other is read. Each is touched first: so their cache misses overlap."""
    touched = np.empty(ROWS, np.int8)
    index = np.empty(2 * keep, np.int32)
    score = np.empty(2 * keep, np.float32)
    products = np.empty(ROWS, np.int32)
    held = 0
    bar = np.float32(-np.inf)
    for start in range(0, len(listed), ROWS):
        some = min(ROWS, len(listed) - start)
        for row in range(some):
            touched[row] = rows[listed[start + row], 0, 0]
        products[:some] = 0
        for part in range(len(query)):
            for row in range(some):
                products[row] += _product(rows[listed[start + row], part], query[part])
        for row in range(some):
            value = np.float32(products[row]) * scale[listed[start + row]]
            if value > bar:
                index[held] = listed[start + row]
                score[held] = value
                held += 1
                if held == 2 * keep:
                    bar = _keep_best(index, score, held, keep)
                    held = keep
    if held > keep:
        _keep_best(index, score, held, keep)
        held = keep
    return index[:held], score[:held]
