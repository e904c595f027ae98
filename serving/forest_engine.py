"""The scoring engine of one model: collapse, bin, scan. Knows arrays and instruction sets, not requests or Ray."""

import threading
from dataclasses import fields

import numpy as np

from serving import forest_program as program
from serving.forest_bins import BinPlan
from serving.forest_masks import build_masks
from serving.forest_model import Trees
from serving.forest_native import Native

UNIT = 64  # candidates are padded to whole units


class Program:
    """Collapsed trees, ready to scan. `splits` int32[s, 4], `sizes` int32[chunks], `tables` float32[chunks, 32]."""

    __slots__ = ("base", "chunks", "n_splits", "sizes", "splits", "tables")

    def __init__(self, capacity: tuple[int, int], base: float) -> None:
        self.splits = np.empty((capacity[0], 4), np.int32)
        self.sizes = np.empty(capacity[1], np.int32)
        self.tables = np.zeros((capacity[1], program.SLOTS), np.float32)
        self.base = base
        self.chunks = 0
        self.n_splits = 0


class Engine:
    """The trees of one output, packed for `program.emit`, with the columns of one bin plan."""

    def __init__(self, trees: Trees, group: int, plan: BinPlan, n_resolved: int) -> None:
        packed = np.zeros((len(trees.left), 8), np.int32)
        packed[:, program.LEFT] = trees.left
        packed[:, program.RIGHT] = trees.right
        packed[:, program.FEATURE] = trees.feature
        packed[:, program.VALUE] = trees.value.view(np.int32)
        packed[:, program.DEFAULT_LEFT] = trees.default_left
        packed[:, program.COLUMN] = plan.column
        packed[:, program.THRESHOLD] = plan.threshold
        self._ints, self._floats = packed, packed.view(np.float32)
        self._roots = trees.roots[:-1][trees.group == group].astype(np.int64)
        masks = build_masks(trees, group, plan.column, plan.threshold, n_resolved)
        self._masks = tuple(getattr(masks, field.name) for field in fields(masks))
        self.base = float(trees.base[group])
        self.n_resolved = n_resolved
        leaves, depth = _sizes(trees, group)
        parts = np.where(leaves <= program.SLOTS, 1, -(-leaves // program.PART))
        self.capacity = (int((leaves - 1 + 2 * parts * (depth + 1)).sum()), int(parts.sum()))
        self.scratch_slots = 2 * program.SLOTS + 2 * int(depth.max()) + 2
        self._largest = int(leaves.max()) + 1
        self._depth = int(depth.max()) + 2
        self._local = threading.local()

    def collapse(self, shared: np.ndarray) -> Program:
        """The program of one request's shared features, float32[n_resolved]."""
        made = Program(self.capacity, self.base)
        local = self._local
        if not hasattr(local, "stack"):
            local.stack = np.empty((self._depth, 2), np.int64)
            local.kept = np.empty((self._largest, 5), np.int64)
            local.weights = np.empty(self._largest, np.float32)
        made.chunks, made.n_splits = program.emit(
            self._ints, self._floats, self._roots, self._masks, shared, made.splits, made.sizes, made.tables,
            local.stack, local.kept, local.weights,
        )  # fmt: skip
        return made


class Scanner:
    """Runs programs over byte columns with one instruction set; holds each thread's scratch."""

    def __init__(self, native: Native) -> None:
        self._native = native
        self._local = threading.local()

    def scan(self, made: Program, bins: np.ndarray, n: int, slots: int) -> np.ndarray:
        """Margins float32[n]. `bins` int8[columns, stride], a stride of whole units that holds n; slots of scratch."""
        padded = -(-n // UNIT) * UNIT
        sums = np.empty(padded, np.float32)
        wide, one = self._constants(slots)
        level = self._native.level
        step = level.scan.width * level.blocks
        middle = padded // step * step
        arguments = (
            made.splits.ctypes.data, made.sizes.ctypes.data, made.tables.ctypes.data, made.chunks,
            bins.ctypes.data, bins.shape[1],
        )  # fmt: skip
        self._native.scan_wide(*arguments, 0, middle, wide.ctypes.data, sums.ctypes.data, made.base)
        self._native.scan_one(*arguments, middle, padded, one.ctypes.data, sums.ctypes.data, made.base)
        return sums[:n]

    def _constants(self, slots: int) -> tuple[np.ndarray, np.ndarray]:
        local = self._local
        if getattr(local, "slots", 0) < slots:
            level = self._native.level
            width = level.scan.width
            local.wide = _aligned(slots, width * level.blocks)
            local.one = _aligned(slots, width)
            local.slots = slots
        return local.wide, local.one


def _aligned(slots: int, width: int) -> np.ndarray:
    """int8[slots, width] at a multiple of 64 bytes, the first 32 rows filled with their number."""
    raw = np.empty(slots * width + 64, np.int8)
    start = -raw.ctypes.data % 64
    out = raw[start : start + slots * width].reshape(slots, width)
    out[: program.SLOTS] = np.arange(program.SLOTS, dtype=np.int8)[:, None]
    return out


def _sizes(trees: Trees, group: int) -> tuple[np.ndarray, np.ndarray]:
    """Leaves and depth of each tree of an output, int64[trees]."""
    level = np.zeros(len(trees.left), np.int64)
    inner = np.flatnonzero(trees.left >= 0)
    for node in inner:  # preorder: a parent comes first
        level[trees.left[node]] = level[trees.right[node]] = level[node] + 1
    starts = trees.roots[:-1]
    leaves = np.add.reduceat((trees.left < 0).astype(np.int64), starts)
    depth = np.maximum.reduceat(level, starts)
    mine = trees.group == group
    return leaves[mine], depth[mine]
