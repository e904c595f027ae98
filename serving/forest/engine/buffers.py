"""The memory that requests run in: binners' tables, pin tables, each thread's scratch. Knows no models and no Ray."""

import threading
from collections.abc import Sequence

import numpy as np

from serving.forest.bins import Column
from serving.forest.engine import frames
from serving.forest.engine.frames import address
from serving.forest.engine.scoring import BLOCK, UNIT, stride_for
from serving.forest.llvm.bins import COLUMN_BYTES, CUT_SLOTS
from serving.forest.llvm.native import Native
from serving.forest.llvm.scan import SLOTS


def aligned(size: int, dtype: type) -> np.ndarray:
    """Zeros [size] whose memory starts at a multiple of 64 bytes."""
    item = np.dtype(dtype).itemsize
    raw = np.zeros(size * item + UNIT, np.int8)
    start = -address(raw) % UNIT
    return raw[start : start + size * item].view(dtype)


def bin_table(columns: list[Column], features: list[int]) -> np.ndarray:
    """int32[columns, ·]: what the native search wants to know; column i bins float `features[i]` of a row."""
    table = np.zeros((max(len(columns), 1), COLUMN_BYTES // 4), np.int32)
    for row, (column, feature) in enumerate(zip(columns, features, strict=True)):
        levels = max(4, len(column.cuts).bit_length())
        missing = (len(column.cuts) if column.missing_right else 0) - 128
        table[row, :3] = feature, levels, missing
        table[row, 4:] = _search_tree(column.cuts, levels).view(np.int32)
    return table


def _search_tree(cuts: np.ndarray, levels: int) -> np.ndarray:
    """Sorted thresholds as a search tree, float32[256]: entry i has the children 2i and 2i + 1; NaN where none is."""
    tree = np.full(CUT_SLOTS, np.nan, np.float32)
    full = np.full((1 << levels) - 1, np.nan, np.float32)
    full[: len(cuts)] = cuts
    for level in range(levels):
        gap = 1 << (levels - level)
        tree[1 << level : 2 << level] = full[gap // 2 - 1 :: gap]
    return tree


class Layout:
    """What every thread's scratch is made for: native functions, pin table int8[n_pins, w], binned columns, slots.

    w is a multiple of 16, and 0 in serving. `features`: which of a row's `width` floats each of `columns` bins.
    """

    def __init__(
        self, native: Native, table: np.ndarray, columns: list[Column], features: list[int], width: int, slots: int
    ) -> None:
        self.native = native
        self.table = table
        self.width = width
        self.slots = slots
        self.n_columns = len(columns)
        self.bins = bin_table(columns, features)

    @property
    def bytes_wide(self) -> int:
        """Byte columns of a request."""
        return self.table.shape[1] + self.n_columns


class Space(threading.local):
    """Each thread's scratch for one layout, and the frame (frames.py) that names it."""

    def __init__(self, layout: Layout) -> None:
        native = layout.native
        scan = native.level.scan
        floats_wide = max(layout.width, scan.lanes)
        slot = scan.width * native.level.blocks
        wide = _numbered(layout.slots, slot)
        narrow = _numbered(layout.slots, scan.width)
        tail = aligned(2 * scan.lanes * floats_wide + scan.lanes, np.float32)
        floats = aligned(floats_wide * (BLOCK + UNIT), np.float32)
        self._layout = layout
        self._capacity = -1
        self._own: Sequence[np.ndarray] = (wide, narrow, tail, floats)  # the frame keeps only their addresses
        self.frame = frames.new_frame(
            frames.THREAD_WORDS,
            {
                frames.GATHER: native.gather,
                frames.TRANSPOSE: native.transpose,
                frames.SEARCH: native.search,
                frames.SCAN: native.scan,
                frames.TABLE: layout.table,
                frames.TABLE_WIDTH: layout.table.shape[1],
                frames.N_PINS: len(layout.table),
                frames.COLUMNS: layout.bins,
                frames.N_COLUMNS: layout.n_columns,
                frames.LANES: scan.lanes,
                frames.SLOT: slot,
                frames.FLOATS: floats,
                frames.TAIL: tail,
                frames.WIDE: wide,
                frames.NARROW: narrow,
            },
        )

    def fit(self, n: int) -> np.ndarray:
        """The frame, with room for n candidates."""
        if n > self._capacity:
            stride = stride_for(n)
            columns = aligned(max(self._layout.bytes_wide, 1) * stride, np.int8)
            sums = aligned(stride, np.float32)
            self._growing = (columns, sums)
            self.frame[frames.BYTES] = address(columns)
            self.frame[frames.SUMS] = address(sums)
            self._capacity = n
        return self.frame

    def byte_columns(self, n: int) -> np.ndarray:
        """The byte columns that the last call filled, int8[columns, n]; valid until the next."""
        stride = stride_for(n)
        columns = self._layout.bytes_wide
        return self._growing[0][: columns * stride].reshape(columns, stride)[:, :n]


def _numbered(slots: int, width: int) -> np.ndarray:
    """int8[slots, width], the first 32 rows filled with their number."""
    out = aligned(slots * width, np.int8).reshape(slots, width)
    out[:SLOTS] = np.arange(SLOTS, dtype=np.int8)[:, None]
    return out
