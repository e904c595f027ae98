"""Collapse the trees of one output: by their masks, or by traversal where masks do not reach. Knows arrays only.

A request's program lives in memory of the thread and the collapser, so that no page is touched for the first time.
"""

import threading

import numpy as np

from serving.forest.bins import BinPlan
from serving.forest.engine import frames
from serving.forest.engine.live import Live, build_live
from serving.forest.engine.program import specialise
from serving.forest.engine.traverse import PART, pack, traverse
from serving.forest.llvm.scan import SLOTS
from serving.forest.model import Trees


class Program:
    """Collapsed trees, ready to scan. `splits` int32[s, 4], `sizes` int32[chunks], `tables` float32[chunks, 32]."""

    def __init__(self, capacity: tuple[int, int], base: float, trees: int) -> None:
        most_splits, most_chunks = capacity
        self.splits = np.empty((most_splits + 64, 4), np.int32)
        self.sizes = np.empty(most_chunks, np.int32)
        self.tables = np.empty((most_chunks, SLOTS), np.float32)
        self._live = np.empty(trees, np.uint64)
        self._base = np.array([base], np.float32)
        self.frame = frames.new_frame(
            frames.PROGRAM_WORDS,
            {
                frames.SPLITS: self.splits,
                frames.SIZES: self.sizes,
                frames.TABLES: self.tables,
                frames.BASE: self._base,
                frames.LIVE: self._live,
            },
        )

    @property
    def chunks(self) -> int:
        """Pieces of at most SLOTS leaves, each with a look-up table, in the last program."""
        return int(self.frame[frames.CHUNKS])

    @property
    def n_splits(self) -> int:
        """Splits that the last program wrote."""
        return int(self.frame[frames.WRITTEN])


class Collapser:
    """The trees of one output with the columns of one bin plan. `model`: their frame, None if they are traversed."""

    def __init__(self, trees: Trees, group: int, plan: BinPlan, n_resolved: int) -> None:
        self.base = float(trees.base[group])
        self._live = build_live(trees, group, plan.column, plan.threshold, n_resolved)
        self._nodes = pack(trees, plan) if self._live is None else None
        self.model = None if self._live is None else _model_frame(self._live)
        self._roots = trees.roots[:-1][trees.group == group].astype(np.int64)

        leaves, depth = _sizes(trees, group)
        own_leaves = PART if self._live is None else SLOTS - 2 * self._live.depth  # of a chunk of a large tree
        parts = np.where(leaves <= SLOTS, 1, -(-leaves // own_leaves))
        self._capacity = (int((leaves - 1 + 2 * parts * (depth + 1)).sum()), int(parts.sum()))
        self.scratch_slots = 2 * SLOTS + 2 * int(depth.max()) + 2
        self._largest = int(leaves.max()) + 1
        self._depth = int(depth.max()) + 2
        self._local = threading.local()

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
            specialise(self.model, made.frame, shared)
            return made
        local = self._local
        if not hasattr(local, "stack"):
            local.stack = np.empty((self._depth, 2), np.int64)
            local.kept = np.empty((self._largest, 5), np.int64)
            local.weights = np.empty(self._largest, np.float32)
        assert self._nodes is not None
        chunks, written = traverse(
            self._nodes,
            self._nodes.view(np.float32),
            self._roots,
            shared,
            made.splits,
            made.sizes,
            made.tables,
            local.stack,
            local.kept,
            local.weights,
        )
        made.frame[frames.CHUNKS] = chunks
        made.frame[frames.WRITTEN] = written
        return made


def _model_frame(live: Live) -> np.ndarray:
    return frames.new_frame(
        frames.MODEL_WORDS,
        {
            frames.TREES: len(live.full),
            frames.FEATURES: len(live.feature),
            frames.DEPTH: live.depth,
            frames.FULL: live.full,
            frames.FEATURE: live.feature,
            frames.CUT_BEGIN: live.cut_begin,
            frames.CUTS: live.cuts,
            frames.ROW_BEGIN: live.row_begin,
            frames.ROWS: live.rows,
            frames.SPLIT_BEGIN: live.split_begin,
            frames.LEAF_BEGIN: live.leaf_begin,
            frames.LEFT: live.left,
            frames.RIGHT: live.right,
            frames.SHAPE: live.shape,
            frames.CODE: live.code,
            frames.WEIGHTS: live.weights,
        },
    )


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
