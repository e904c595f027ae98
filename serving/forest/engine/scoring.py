"""A request's way through native code: gather, bin, specialise, scan. Knows addresses, not models or Ray.

`score_request` does all of it in one call with few arguments, because a request takes about 100 µs and an argument of
numba's 0.2: what it needs stands in frames (frames.py). Serving has no pin table and gathers nothing.
"""

import numpy as np
from numba import carray, njit

from serving.forest.engine import frames
from serving.forest.engine.calls import call_native, float32_at, int32_at
from serving.forest.engine.program import specialise

UNIT = 64  # candidates are padded to whole units
TILE = 16  # pins gathered at once
BLOCK = 256  # rows binned at once: their transposed floats stay in the first-level cache


@njit(cache=True, nogil=True)
def padded(n):  # type: ignore[no-untyped-def]
    """n rounded up to whole units."""
    return -(-n // UNIT) * UNIT


@njit(cache=True, nogil=True)
def stride_for(n):  # type: ignore[no-untyped-def]
    """Items between columns: an odd number of units, so that columns do not compete for the same cache sets."""
    return (-(-n // UNIT) | 1) * UNIT


@njit(cache=True, nogil=True)
def known(frame, pins):  # type: ignore[no-untyped-def]
    """Whether every pin is in the table."""
    worst = np.uint32(0)
    for i in range(len(pins)):  # a negative index is a large unsigned one
        worst = max(worst, np.uint32(pins[i]))
    return len(pins) == 0 or worst < frame[frames.N_PINS]


@njit(cache=True, nogil=True)
def bin_rows(frame, rows, n, width, into, stride):  # type: ignore[no-untyped-def]
    """Bin n rows, at least one tile and at most a block, at the address `rows`, into byte columns at `into`."""
    between = np.int64(BLOCK + UNIT)
    floats = frame[frames.FLOATS]
    call_native(frame[frames.TRANSPOSE], (rows, n, width, floats, between))
    call_native(
        frame[frames.SEARCH], (floats, between, n, frame[frames.COLUMNS], frame[frames.N_COLUMNS], into, stride)
    )


@njit(cache=True, nogil=True)
def gather(frame, pins, n, stride):  # type: ignore[no-untyped-def]
    """The table's byte columns of n pins; fewer than a tile go through a copy that repeats pin 0."""
    table = frame[frames.TABLE]
    width = frame[frames.TABLE_WIDTH]
    into = frame[frames.BYTES]
    if n >= TILE:
        call_native(frame[frames.GATHER], (table, width, np.int64(pins.ctypes.data), n, into, stride))
        return
    tail = carray(int32_at(frame[frames.TAIL]), TILE)
    for i in range(TILE):  # loops: numba takes seconds to compile a slice assigned to a slice
        tail[i] = pins[i] if i < n else 0
    call_native(frame[frames.GATHER], (table, width, frame[frames.TAIL], np.int64(TILE), into, stride))


@njit(cache=True, nogil=True)
def fill(frame, pins, rows):  # type: ignore[no-untyped-def]
    """Byte columns of n candidates: the table's columns of `pins`, then those binned from `rows` float32[n, width]."""
    n, width = rows.shape
    stride = stride_for(n)
    if n == 0:
        return

    # The table's columns.
    if frame[frames.TABLE_WIDTH] > 0:
        gather(frame, pins, n, stride)
    if frame[frames.N_COLUMNS] == 0:
        return

    # Whole blocks of rows. A tile of narrow rows reads past a row's end, so the last rows are left for below.
    lanes = frame[frames.LANES]
    into = frame[frames.BYTES] + frame[frames.TABLE_WIDTH] * stride
    main = n if width >= lanes else n - lanes
    if main < lanes:
        main = 0
    for start in range(0, main, BLOCK):
        first = min(start, main - lanes)
        row = np.int64(rows.ctypes.data) + 4 * width * first
        bin_rows(frame, row, min(BLOCK, main - first), width, into + first, stride)

    # The last rows, through a copy with room behind them.
    if main < n:
        left = n - main
        tail_rows = carray(float32_at(frame[frames.TAIL]), (2 * lanes, width))
        for i in range(2 * lanes):
            for j in range(width):
                tail_rows[i, j] = rows[main + i, j] if i < left else np.float32(0)
        bin_rows(frame, frame[frames.TAIL], max(left, lanes), width, into + main, stride)


@njit(cache=True, nogil=True)
def scan(frame, made, n):  # type: ignore[no-untyped-def]
    """Margins of n candidates, whose byte columns are filled, into the thread's sums."""
    whole = padded(n)
    middle = whole - whole % frame[frames.SLOT]
    arguments = (
        made[frames.SPLITS],
        made[frames.SIZES],
        made[frames.TABLES],
        made[frames.CHUNKS],
        frame[frames.BYTES],
        stride_for(n),
        middle,
        whole,
        frame[frames.WIDE],
        frame[frames.NARROW],
        frame[frames.SUMS],
        made[frames.BASE],
    )
    call_native(frame[frames.SCAN], arguments)


@njit(cache=True, nogil=True)
def copy_sums(frame, n):  # type: ignore[no-untyped-def]
    """The thread's sums as a new float32[n]."""
    return carray(float32_at(frame[frames.SUMS]), n).copy()


@njit(cache=True, nogil=True)
def score_request(frame, model, made, shared, pins, rows):  # type: ignore[no-untyped-def]
    """Margins float32[n] of `pins` with `rows` for the shared features; nothing if a pin is not in the table."""
    if not known(frame, pins):
        return np.empty(0, np.float32)
    fill(frame, pins, rows)
    specialise(model, made, shared)
    scan(frame, made, len(rows))
    return copy_sums(frame, len(rows))
