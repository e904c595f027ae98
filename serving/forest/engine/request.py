"""A request's path through native code in one call: gather, bin, specialise, scan. Knows addresses, not models or Ray.

A frame is an int64 array of numbers and addresses: of a thread's scratch (here), of a model and of a program
(program.py). One call with few arguments matters: a request takes about 100 µs, an argument of numba's 0.2.
"""

import numpy as np
from numba import carray, njit

from serving.forest.engine.calls import call_native, float32_at, int32_at
from serving.forest.engine.program import BASE, CHUNKS, SIZES, SPLITS, TABLES, specialise

# Places in a thread's frame: native functions, the pin table, the binner, scratch.
GATHER, TRANSPOSE, SEARCH, SCAN, TABLE, TABLE_WIDTH, N_PINS, COLUMNS, N_COLUMNS, LANES, SLOT = range(11)
BYTES, FLOATS, TAIL, WIDE, NARROW, SUMS, FRAME_WORDS = range(11, 18)
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
    return len(pins) == 0 or worst < frame[N_PINS]


@njit(cache=True, nogil=True)
def bin_rows(frame, rows, n, width, into, stride):  # type: ignore[no-untyped-def]
    """Bin n rows, at least one tile and at most a block, at the address `rows`, into byte columns at `into`."""
    between, floats = np.int64(BLOCK + UNIT), frame[FLOATS]
    call_native(frame[TRANSPOSE], (rows, n, width, floats, between))
    call_native(frame[SEARCH], (floats, between, n, frame[COLUMNS], frame[N_COLUMNS], into, stride))


@njit(cache=True, nogil=True)
def fill(frame, pins, rows):  # type: ignore[no-untyped-def]
    """Byte columns of n candidates: the table's columns of `pins`, then those binned from `rows` float32[n, width]."""
    n, width = rows.shape
    stride = stride_for(n)
    if n == 0:
        return
    if frame[TABLE_WIDTH] > 0:
        if n >= TILE:
            call_native(
                frame[GATHER],
                (frame[TABLE], frame[TABLE_WIDTH], np.int64(pins.ctypes.data), n, frame[BYTES], stride),
            )
        else:
            tail = carray(int32_at(frame[TAIL]), TILE)
            for i in range(TILE):  # loops: numba takes seconds to compile a slice assigned to a slice
                tail[i] = pins[i] if i < n else 0
            call_native(
                frame[GATHER], (frame[TABLE], frame[TABLE_WIDTH], frame[TAIL], np.int64(TILE), frame[BYTES], stride)
            )
    if frame[N_COLUMNS] == 0:
        return
    lanes, into = frame[LANES], frame[BYTES] + frame[TABLE_WIDTH] * stride
    # A tile of narrow rows reads past a row's end, so the last rows go through a copy with room behind them.
    main = n if width >= lanes else n - lanes
    if main < lanes:
        main = 0
    for start in range(0, main, BLOCK):
        first = min(start, main - lanes)
        bin_rows(
            frame, np.int64(rows.ctypes.data) + 4 * width * first, min(BLOCK, main - first), width, into + first, stride
        )
    if main < n:
        left = n - main
        tail_rows = carray(float32_at(frame[TAIL]), (2 * lanes, width))
        for i in range(2 * lanes):
            for j in range(width):
                tail_rows[i, j] = rows[main + i, j] if i < left else np.float32(0)
        bin_rows(frame, frame[TAIL], max(left, lanes), width, into + main, stride)


@njit(cache=True, nogil=True)
def scan(frame, made, n):  # type: ignore[no-untyped-def]
    """Margins of n candidates, whose byte columns are filled, into the thread's sums."""
    whole = padded(n)
    middle = whole - whole % frame[SLOT]
    call_native(
        frame[SCAN],
        (
            made[SPLITS], made[SIZES], made[TABLES], made[CHUNKS], frame[BYTES], stride_for(n),
            middle, whole, frame[WIDE], frame[NARROW], frame[SUMS], made[BASE],
        ),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def copy_sums(frame, n):  # type: ignore[no-untyped-def]
    """The thread's sums as a new float32[n]."""
    return carray(float32_at(frame[SUMS]), n).copy()


@njit(cache=True, nogil=True)
def score(frame, made, rows):  # type: ignore[no-untyped-def]
    """Margins float32[n] of rows float32[n, width] by a program that is written."""
    fill(frame, np.empty(0, np.int32), rows)
    scan(frame, made, len(rows))
    return copy_sums(frame, len(rows))


@njit(cache=True, nogil=True)
def request(frame, model, made, shared, pins, rows):  # type: ignore[no-untyped-def]
    """Margins float32[n] of `pins` with `rows` for the shared features; nothing if a pin is not in the table."""
    if not known(frame, pins):
        return np.empty(0, np.float32)
    fill(frame, pins, rows)
    specialise(model, made, shared)
    scan(frame, made, len(rows))
    return copy_sums(frame, len(rows))
