"""Byte columns of candidates, filled from float rows or a pin table. Knows native functions, not models or Ray."""

import numpy as np

from serving.forest_bins import Column
from serving.forest_ir_bin import COLUMN_BYTES, CUT_SLOTS
from serving.forest_native import Native

UNIT = 64  # candidates are padded to whole units
TILE = 16


def address(array: np.ndarray) -> int:
    """Where the array's memory starts."""
    return int(array.__array_interface__["data"][0])


def padded(n: int) -> int:
    """n rounded up to whole units."""
    return -(-n // UNIT) * UNIT


def stride_for(n: int) -> int:
    """Bytes between columns: an odd number of cache lines, so that columns do not compete for the same cache sets."""
    return (padded(n) // UNIT | 1) * UNIT


class Bytes:
    """A growing int8[columns, stride] buffer at a multiple of 64 bytes; one thread's."""

    def __init__(self) -> None:
        self._raw = np.empty(UNIT, np.int8)
        self.stride = 0
        self.start = 0

    def reserve(self, columns: int, n: int) -> None:
        """Make room for n candidates; the contents are lost."""
        self.stride = stride_for(n)
        size = max(columns, 1) * self.stride + UNIT
        if size > len(self._raw):
            self._raw = np.zeros(size, np.int8)
        raw = address(self._raw)
        self.start = raw + -raw % UNIT

    def view(self, columns: int, n: int) -> np.ndarray:
        """The first n bytes of the first columns, int8[columns, n]; valid until the next `reserve`."""
        first = self.start - address(self._raw)
        return self._raw[first : first + columns * self.stride].reshape(columns, self.stride)[:, :n]


class Binner:
    """Bins float rows into byte columns. `features` are the columns' positions in those rows."""

    def __init__(self, columns: list[Column], features: list[int], width: int) -> None:
        self.count = len(columns)
        self.width = width
        self._table = np.zeros((max(self.count, 1), COLUMN_BYTES // 4), np.int32)
        for row, (column, feature) in enumerate(zip(columns, features, strict=True)):
            levels = max(4, len(column.cuts).bit_length())
            missing = (len(column.cuts) if column.missing_right else 0) - 128
            self._table[row, :3] = feature, levels, missing
            self._table[row, 4:] = _search_tree(column.cuts, levels).view(np.int32)
        self._table_at = address(self._table)

    def fill(self, native: Native, rows: np.ndarray, into: int, stride: int, scratch: "Floats") -> None:
        """Bin C-contiguous float32[n, width] into int8[columns, stride] at the address `into`."""
        n, width = rows.shape
        if self.count == 0 or n == 0:
            return
        lanes = native.level.scan.lanes
        between = stride_for(n)
        by_column = scratch.reserve(max(width, lanes) * between)
        # A tile of narrow rows reads past a row's end, so the last rows go through a copy with room behind them.
        main = n if width >= lanes else n - lanes
        if main >= lanes:
            native.transpose(address(rows), main, width, by_column, between)
        if main < n or main < lanes:
            first = main if main >= lanes else 0
            tail = np.zeros((max(n - first, lanes), max(width, lanes)), np.float32)
            tail[: n - first, :width] = rows[first:]
            native.transpose(address(tail), len(tail), tail.shape[1], by_column + 4 * first, between)
        native.search(by_column, between, n, self._table_at, self.count, into, stride)


class Floats:
    """A growing float32 scratch; one thread's."""

    def __init__(self) -> None:
        self._raw = np.empty(0, np.float32)
        self._at = 0

    def reserve(self, size: int) -> int:
        """Make room for `size` floats, zero at first; returns the address, a multiple of 64."""
        if size + UNIT > len(self._raw):
            self._raw = np.zeros(size + UNIT, np.float32)
            self._at = address(self._raw) + -address(self._raw) % UNIT
        return self._at


def gather(native: Native, table: np.ndarray, pins: np.ndarray, into: int, stride: int) -> None:
    """Rows `pins` (int32[n], in range) of int8[·, width], width a multiple of 16, into int8[width, stride]."""
    if len(pins) == 0 or table.shape[1] == 0:
        return
    if len(pins) < TILE:
        pins = np.concatenate([pins, np.zeros(TILE - len(pins), np.int32)])
    native.gather(address(table), table.shape[1], address(pins), len(pins), into, stride)


def _search_tree(cuts: np.ndarray, levels: int) -> np.ndarray:
    """Sorted thresholds as a search tree, float32[256]: entry i has the children 2i and 2i + 1; NaN where none is."""
    tree = np.full(CUT_SLOTS, np.nan, np.float32)
    full = np.full((1 << levels) - 1, np.nan, np.float32)
    full[: len(cuts)] = cuts
    for level in range(levels):
        gap = 1 << (levels - level)
        tree[1 << level : 2 << level] = full[gap // 2 - 1 :: gap]
    return tree
