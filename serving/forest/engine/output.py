"""The collapsing engine of one output: its masks, or its nodes where masks do not reach. Knows arrays, not requests.

A request's program lives in memory of the thread and the engine, so that no page is touched for the first time.
"""

import threading

import numpy as np

from serving.forest.bins import BinPlan
from serving.forest.engine import program, walk
from serving.forest.engine.buffers import address
from serving.forest.engine.live import build_live
from serving.forest.llvm.scan import SLOTS
from serving.forest.model import Trees


class Program:
    """Collapsed trees, ready to scan. `splits` int32[s, 4], `sizes` int32[chunks], `tables` float32[chunks, 32]."""

    def __init__(self, capacity: tuple[int, int], base: float, trees: int) -> None:
        self.splits = np.empty((capacity[0] + 64, 4), np.int32)
        self.sizes = np.empty(capacity[1], np.int32)
        self.tables = np.empty((capacity[1], SLOTS), np.float32)
        self._live, self._base = np.empty(trees, np.uint64), np.array([base], np.float32)
        self.frame = np.zeros(program.PROGRAM_WORDS, np.int64)
        for place, array in (
            (program.SPLITS, self.splits), (program.SIZES, self.sizes), (program.TABLES, self.tables),
            (program.BASE, self._base), (program.LIVE, self._live),
        ):  # fmt: skip
            self.frame[place] = address(array)

    @property
    def chunks(self) -> int:
        """Pieces of at most SLOTS leaves, each with a look-up table, in the last program."""
        return int(self.frame[program.CHUNKS])

    @property
    def n_splits(self) -> int:
        """Splits that the last program wrote."""
        return int(self.frame[program.WRITTEN])


class Engine:
    """The trees of one output with the columns of one bin plan. `model` is its frame; None if its trees are walked."""

    def __init__(self, trees: Trees, group: int, plan: BinPlan, n_resolved: int) -> None:
        self.base = float(trees.base[group])
        leaves, depth = _sizes(trees, group)
        live = build_live(trees, group, plan.column, plan.threshold, n_resolved)
        self.model: np.ndarray | None = None
        if live is not None:
            self._live = live
            arrays = (
                live.full, live.feature, live.cut_begin, live.cuts, live.row_begin, live.rows, live.split_begin,
                live.leaf_begin, live.left, live.right, live.shape, live.code, live.weights,
            )  # fmt: skip
            self.model = np.array([len(live.full), len(live.feature), live.depth, *map(address, arrays), 0], np.int64)
            part = SLOTS - 2 * live.depth
        else:
            self._nodes(trees, plan)
            part = walk.PART
        self._roots = trees.roots[:-1][trees.group == group].astype(np.int64)
        parts = np.where(leaves <= SLOTS, 1, -(-leaves // part))
        self._capacity = (int((leaves - 1 + 2 * parts * (depth + 1)).sum()), int(parts.sum()))
        self.scratch_slots = 2 * SLOTS + 2 * int(depth.max()) + 2
        self._largest = int(leaves.max()) + 1
        self._depth = int(depth.max()) + 2
        self._local = threading.local()

    def _nodes(self, trees: Trees, plan: BinPlan) -> None:
        packed = np.zeros((len(trees.left), 8), np.int32)
        for place, values in (
            (walk.LEFT, trees.left), (walk.RIGHT, trees.right), (walk.FEATURE, trees.feature),
            (walk.VALUE, trees.value.view(np.int32)), (walk.DEFAULT_LEFT, trees.default_left),
            (walk.COLUMN, plan.column), (walk.THRESHOLD, plan.threshold),
        ):  # fmt: skip
            packed[:, place] = values
        self._ints, self._floats = packed, packed.view(np.float32)

    def own_program(self) -> Program:
        """This thread's program, overwritten by each request."""
        made: Program | None = getattr(self._local, "made", None)
        if made is None:
            made = self._local.made = self.new_program()
        return made

    def new_program(self) -> Program:
        """An empty program for any request."""
        return Program(self._capacity, self.base, len(self._roots))

    def collapse(self, shared: np.ndarray, made: Program) -> Program:
        """Write the program of one request's shared features, float32[n_resolved]."""
        if self.model is not None:
            program.specialise(self.model, made.frame, shared)
            return made
        local = self._local
        if not hasattr(local, "stack"):
            local.stack = np.empty((self._depth, 2), np.int64)
            local.kept = np.empty((self._largest, 5), np.int64)
            local.weights = np.empty(self._largest, np.float32)
        made.frame[program.CHUNKS], made.frame[program.WRITTEN] = walk.walk(
            self._ints, self._floats, self._roots, shared, made.splits, made.sizes, made.tables,
            local.stack, local.kept, local.weights,
        )  # fmt: skip
        return made


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
