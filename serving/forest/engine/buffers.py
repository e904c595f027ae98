"""The memory that requests run in: binners' tables, pin tables, each thread's scratch. Knows no models and no Ray."""

import threading
from collections.abc import Sequence

import numpy as np

from serving.forest.bins import Column
from serving.forest.engine import request
from serving.forest.llvm.bins import COLUMN_BYTES, CUT_SLOTS
from serving.forest.llvm.native import Native
from serving.forest.llvm.scan import SLOTS

UNIT, TILE = request.UNIT, request.TILE


def address(array: np.ndarray) -> int:
    """Where the array's memory starts. Slow (microseconds): not for use in a request."""
    return int(array.__array_interface__["data"][0])


def aligned(size: int, dtype: type) -> np.ndarray:
    """Zeros [size] whose memory starts at a multiple of 64 bytes."""
    item = np.dtype(dtype).itemsize
    raw = np.zeros(size * item + UNIT, np.int8)
    start = -address(raw) % UNIT
    return raw[start : start + size * item].view(dtype)


def bin_table(columns: list[Column], features: list[int]) -> np.ndarray:
    """What the native search wants of byte columns; `features` are their positions in the rows. int32[columns, ·]."""
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

    w is a multiple of 16. `features`: positions of the binned `columns` in rows of `width` floats.
    """

    def __init__(
        self, native: Native, table: np.ndarray, columns: list[Column], features: list[int], width: int, slots: int
    ) -> None:
        self.native, self.table, self.width, self.slots = native, table, width, slots
        self.n_columns = len(columns)
        self.bins = bin_table(columns, features)

    @property
    def bytes_wide(self) -> int:
        """Byte columns of a request."""
        return self.table.shape[1] + self.n_columns


class Space(threading.local):
    """Each thread's scratch for one layout, and the frame (request.py) that names it."""

    def __init__(self, layout: Layout) -> None:
        native, scan = layout.native, layout.native.level.scan
        self._layout = layout
        self._capacity = -1
        self.frame = np.zeros(request.FRAME_WORDS, np.int64)
        wide = _numbered(layout.slots, scan.width * native.level.blocks)
        narrow = _numbered(layout.slots, scan.width)
        tail = aligned(2 * scan.lanes * max(layout.width, scan.lanes) + scan.lanes, np.float32)
        floats = aligned(max(layout.width, scan.lanes) * (request.BLOCK + UNIT), np.float32)
        self._own: Sequence[np.ndarray] = (wide, narrow, tail, floats)
        values = {
            request.GATHER: native.gather, request.TRANSPOSE: native.transpose, request.SEARCH: native.search,
            request.SCAN: native.scan, request.TABLE: address(layout.table), request.TABLE_WIDTH: layout.table.shape[1],
            request.N_PINS: len(layout.table), request.COLUMNS: address(layout.bins),
            request.N_COLUMNS: layout.n_columns, request.LANES: scan.lanes,
            request.SLOT: scan.width * native.level.blocks, request.TAIL: address(tail),
            request.FLOATS: address(floats), request.WIDE: address(wide), request.NARROW: address(narrow),
        }  # fmt: skip
        for place, value in values.items():
            self.frame[place] = value

    def fit(self, n: int) -> np.ndarray:
        """The frame, with room for n candidates."""
        if n > self._capacity:
            layout = self._layout
            stride = (-(-n // UNIT) | 1) * UNIT
            columns = aligned(max(layout.bytes_wide, 1) * stride, np.int8)
            sums = aligned(stride, np.float32)
            self._growing = (columns, sums)
            for place, array in zip((request.BYTES, request.SUMS), self._growing, strict=True):
                self.frame[place] = address(array)
            self._capacity = n
        return self.frame

    def byte_columns(self, n: int) -> np.ndarray:
        """The byte columns that the last call filled, int8[columns, n]; valid until the next."""
        stride = (-(-n // UNIT) | 1) * UNIT
        columns = self._layout.bytes_wide
        return self._growing[0][: columns * stride].reshape(columns, stride)[:, :n]


def _numbered(slots: int, width: int) -> np.ndarray:
    """int8[slots, width], the first 32 rows filled with their number."""
    out = aligned(slots * width, np.int8).reshape(slots, width)
    out[:SLOTS] = np.arange(SLOTS, dtype=np.int8)[:, None]
    return out
