"""The scoring engine of one model: collapse, bin, scan. Knows arrays and instruction sets, not requests or Ray."""

import threading
from dataclasses import fields

import numpy as np

from serving import forest_program as program
from serving.forest_bins import BinPlan
from serving.forest_buffers import UNIT, Bytes, Floats, address, padded
from serving.forest_masks import SLOTS, build_masks
from serving.forest_model import Trees
from serving.forest_native import Native


class Program:
    """Collapsed trees, ready to scan. `splits` int32[s, 4], `sizes` int32[chunks], `tables` float32[chunks, 32]."""

    __slots__ = ("base", "chunks", "n_splits", "sizes", "sizes_at", "splits", "splits_at", "tables", "tables_at")

    def __init__(self, capacity: tuple[int, int], base: float) -> None:
        self.splits = np.empty((capacity[0], 4), np.int32)
        self.sizes = np.empty(capacity[1], np.int32)
        self.tables = np.empty((capacity[1], SLOTS), np.float32)
        self.splits_at, self.sizes_at, self.tables_at = address(self.splits), address(self.sizes), address(self.tables)
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
        parts = np.where(leaves <= SLOTS, 1, -(-leaves // program.PART))
        self.capacity = (int((leaves - 1 + 2 * parts * (depth + 1)).sum()), int(parts.sum()))
        self.scratch_slots = 2 * SLOTS + 2 * int(depth.max()) + 2
        self._largest = int(leaves.max()) + 1
        self._depth = int(depth.max()) + 2
        self._local = threading.local()

    def collapse(self, shared: np.ndarray, keep: bool = True) -> Program:
        """The program of one request's shared features, float32[n_resolved].

        Without `keep` it lives in memory of this thread and this engine until the next call: no page is touched first.
        """
        local = self._local
        if not hasattr(local, "stack"):
            local.stack = np.empty((self._depth, 2), np.int64)
            local.kept = np.empty((self._largest, 5), np.int64)
            local.weights = np.empty(self._largest, np.float32)
            local.made = Program(self.capacity, self.base)
        made = Program(self.capacity, self.base) if keep else local.made
        made.chunks, made.n_splits = program.emit(
            self._ints, self._floats, self._roots, self._masks, shared, made.splits, made.sizes, made.tables,
            local.stack, local.kept, local.weights,
        )  # fmt: skip
        return made


class Workspace(threading.local):
    """Each thread's scratch for one instruction set: byte columns, float columns, and the scan's slots."""

    def __init__(self) -> None:
        self.bytes = Bytes()
        self.floats = Floats()
        self.slots = 0
        self._wide = self._narrow = np.empty((0, 0), np.int8)
        self.wide_at = self.narrow_at = 0

    def reserve_slots(self, slots: int, native: Native) -> None:
        """Room for programs that use so many slots; the first 32 of a scratch hold their own number."""
        if slots > self.slots:
            width = native.level.scan.width
            self._wide, self._narrow = _aligned(slots, width * native.level.blocks), _aligned(slots, width)
            self.wide_at, self.narrow_at = address(self._wide), address(self._narrow)
            self.slots = slots


def scan(native: Native, space: Workspace, made: Program, n: int) -> np.ndarray:
    """Margins float32[n] of a program over the byte columns in `space.bytes`."""
    whole = padded(n)
    sums = np.empty(whole + UNIT // 4, np.float32)
    at = address(sums)
    skip = -at % UNIT  # registers that straddle cache lines cost twice
    level = native.level
    middle = whole - whole % (level.scan.width * level.blocks)
    native.scan(
        made.splits_at, made.sizes_at, made.tables_at, made.chunks, space.bytes.start, space.bytes.stride,
        middle, whole, space.wide_at, space.narrow_at, at + skip, made.base,
    )  # fmt: skip
    return sums[skip // 4 : skip // 4 + n]


def _aligned(slots: int, width: int) -> np.ndarray:
    """int8[slots, width] at a multiple of 64 bytes, the first 32 rows filled with their number."""
    raw = np.empty(slots * width + UNIT, np.int8)
    start = -address(raw) % UNIT
    out = raw[start : start + slots * width].reshape(slots, width)
    out[:SLOTS] = np.arange(SLOTS, dtype=np.int8)[:, None]
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
