"""A forest tied to a pin table: the path ids, gather, specialise, score, top k. Knows nothing of Ray or of storage.

The static features of every pin are kept as bytes, one row per pin, so that a request reads one or two cache lines per
candidate and bins its dynamic features only.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from cluster.errors import DataError
from serving.forest import Forest
from serving.forest_bins import plan_bins
from serving.forest_buffers import TILE, Binner, gather
from serving.forest_engine import Engine, Workspace
from serving.forest_kernel import run
from serving.forest_native import native
from serving.forest_top import top_k

_BLOCK = 4096  # pins binned at once when the table is built


class BoundForest:
    """A forest and the bytes of `n_pins` pins. Any thread may call it.

    `static_columns` and `dynamic_columns` count from the model's first candidate column; together they are all of them.
    `table` int8[n_pins, width]: the static bytes, width a multiple of 16 (the only per-pin memory). Raises DataError if
    shapes do not fit.
    """

    def __init__(self, forest: Forest, static: np.ndarray, static_columns: npt.ArrayLike) -> None:
        columns = np.asarray(static_columns, np.int64).reshape(-1)
        if len(np.unique(columns)) != len(columns) or not np.isin(columns, np.arange(forest.n_candidate)).all():
            raise DataError(f"static_columns must be different numbers from 0 to {forest.n_candidate - 1}")
        if static.ndim != 2 or static.shape[1] != len(columns):
            raise DataError(f"static has shape {static.shape}; wanted (n_pins, {len(columns)})")
        self.forest = forest
        self.n_pins = len(static)
        self.static_columns = columns
        self.dynamic_columns = np.setdiff1d(np.arange(forest.n_candidate), columns)
        self._static = None if forest.supported else np.asarray(static, np.float32)
        self._space = Workspace()
        if forest.trees is not None:
            self._build(forest, static)

    def _build(self, forest: Forest, static: np.ndarray) -> None:
        trees, first = forest.trees, forest.n_shared
        assert trees is not None
        features = [*(self.static_columns + first).tolist(), *(self.dynamic_columns + first).tolist()]
        plan = plan_bins(trees, features)
        of_static = {feature: k for k, feature in enumerate(features[: len(self.static_columns)])}
        n_static = sum(column.feature in of_static for column in plan.columns)  # they come first
        self.native = native(forest.level)
        self._first_dynamic = -(-n_static // TILE) * TILE
        moved = np.where(plan.column < n_static, plan.column, plan.column - n_static + self._first_dynamic)
        plan = dataclasses.replace(plan, column=moved.astype(np.int32))
        self.table = np.zeros((len(static), self._first_dynamic), np.int8)
        of_columns = [of_static[column.feature] for column in plan.columns[:n_static]]
        pin_binner = Binner(plan.columns[:n_static], of_columns, static.shape[1])
        of_dynamic = {int(column) + first: k for k, column in enumerate(self.dynamic_columns)}
        dynamic = plan.columns[n_static:]
        self._binner = Binner(dynamic, [of_dynamic[column.feature] for column in dynamic], len(of_dynamic))
        for start in range(0, len(static) if n_static else 0, _BLOCK):
            rows = np.ascontiguousarray(static[start : start + _BLOCK], np.float32)
            self._space.bytes.reserve(n_static, len(rows))
            pin_binner.fill(self.native, rows, self._space.bytes.start, self._space.bytes.stride, self._space.floats)
            self.table[start : start + _BLOCK, :n_static] = self._space.bytes.view(n_static, len(rows)).T
        self.engines = [Engine(trees, group, plan, forest.n_shared) for group in range(forest.n_outputs)]
        self.slots = max(engine.scratch_slots for engine in self.engines)

    def score(self, shared: np.ndarray, pins: np.ndarray, dynamic: np.ndarray) -> np.ndarray:
        """Margins, as Forest.margins, of `pins` (int32[n]) with dynamic columns float32[n, D] (in column order)."""
        forest = self.forest
        shared = np.ascontiguousarray(shared, np.float32)
        pins = np.ascontiguousarray(pins, np.int32)
        dynamic = np.ascontiguousarray(dynamic, np.float32)
        n = len(pins)
        if shared.shape != (forest.n_shared,) or dynamic.shape != (n, len(self.dynamic_columns)):
            raise DataError(
                f"shared has shape {shared.shape}, dynamic {dynamic.shape}; "
                f"wanted ({forest.n_shared},) and ({n}, {len(self.dynamic_columns)})"
            )
        if n and int(pins.view(np.uint32).max()) >= self.n_pins:  # a negative index is a large unsigned one
            raise DataError(f"a pin index is outside 0 to {self.n_pins - 1}: drop unknown ids (-1) before scoring")
        if self._static is not None:
            candidates = np.empty((n, forest.n_candidate), np.float32)
            candidates[:, self.static_columns] = self._static[pins]
            candidates[:, self.dynamic_columns] = dynamic
            return forest.margins(shared, candidates)
        space = self._space
        space.bytes.reserve(self._first_dynamic + self._binner.count, n)
        gather(self.native, self.table, pins, space.bytes.start, space.bytes.stride)
        offset = self._first_dynamic * space.bytes.stride
        self._binner.fill(self.native, dynamic, space.bytes.start + offset, space.bytes.stride, space.floats)
        return run(self.native, self.slots, space, [engine.collapse(shared, keep=False) for engine in self.engines], n)

    def top(self, shared: np.ndarray, pins: np.ndarray, dynamic: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best of `pins`: (position int32[k] in `pins`, margin float32[k]), best first, ties by position."""
        return top_k(self.score(shared, pins, dynamic), k)
