"""A model's whole scoring path: gather, bin, collapse, scan. Knows arrays, not requests, files or Ray."""

import dataclasses

import numpy as np

from serving.forest.bins import plan_bins
from serving.forest.engine import request as native_path
from serving.forest.engine.buffers import TILE, Layout, Space
from serving.forest.engine.output import Engine, Program
from serving.forest.llvm.native import native
from serving.forest.llvm.scan import SLOTS
from serving.forest.model import Trees

_BLOCK = 4096  # pins binned at once when a table is built
_NO_PINS = np.empty(0, np.int32)


class Kernel:
    """Scores candidates whose first `n_resolved` features are given apart (0: none). Any thread may call it.

    With `static` float32[n_pins, P], the features `static_features` int[P] of a candidate come from its pin's row, and
    rows hold the others, in order: `dynamic_features`. `table` int8[n_pins, width] is the only memory per pin.
    """

    def __init__(
        self,
        trees: Trees,
        n_resolved: int,
        n_features: int,
        level: str,
        static: np.ndarray | None = None,
        static_features: np.ndarray | None = None,
    ) -> None:
        stored = [] if static_features is None else [int(f) for f in static_features]
        self.dynamic_features = [f for f in range(n_resolved, n_features) if f not in set(stored)]
        plan = plan_bins(trees, [*stored, *self.dynamic_features])
        n_stored = sum(column.feature in set(stored) for column in plan.columns)  # they come first
        first = -(-n_stored // TILE) * TILE
        moved = np.where(plan.column < n_stored, plan.column, plan.column - n_stored + first)
        moved_plan = dataclasses.replace(plan, column=moved.astype(np.int32))
        self.native = native(level)
        self.n_outputs = len(trees.base)
        self.engines = [Engine(trees, group, moved_plan, n_resolved) for group in range(self.n_outputs)]
        self.table = np.zeros((0 if static is None else len(static), first), np.int8)
        if static is not None and n_stored:
            layout = Layout(
                self.native, np.zeros((0, 0), np.int8), plan.columns[:n_stored],
                [stored.index(column.feature) for column in plan.columns[:n_stored]], static.shape[1], SLOTS,
            )  # fmt: skip
            fill_table(layout, static, self.table)
        dynamic = plan.columns[n_stored:]
        places = [self.dynamic_features.index(column.feature) for column in dynamic]
        slots = max(engine.scratch_slots for engine in self.engines)
        self._layout = Layout(self.native, self.table, dynamic, places, len(self.dynamic_features), slots)
        self._space = Space(self._layout)
        self._fixed = self.collapse(np.empty(0, np.float32)) if n_resolved == 0 else None

    def collapse(self, shared: np.ndarray) -> list[Program]:
        """The programs of one request, one per output, in memory of their own."""
        return [engine.collapse(shared, engine.new_program()) for engine in self.engines]

    def request(self, shared: np.ndarray, pins: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        """float32[n] or [n, outputs] of int32[n] pins (empty without a table) and C-contiguous float32[n, width] rows.

        None if a pin is not in the table. Arrays must be writeable: numba compiles anew for others.
        """
        frame, n = self._space.fit(len(rows)), len(rows)
        engine = self.engines[0]
        if self._fixed is None and self.n_outputs == 1 and engine.model is not None:
            margins: np.ndarray = native_path.request(
                frame, engine.model, engine.own_program().frame, shared, pins, rows
            )
            return margins if len(margins) == n else None
        if not native_path.known(frame, pins):
            return None
        native_path.fill(frame, pins, rows)
        programs = self._fixed or [engine.collapse(shared, engine.own_program()) for engine in self.engines]
        return self.scan_again(programs, n)

    def margins(self, programs: list[Program], rows: np.ndarray) -> np.ndarray:
        """float32[n] or [n, outputs] of C-contiguous rows float32[n, features not resolved], by programs kept."""
        native_path.fill(self._space.fit(len(rows)), _NO_PINS, rows)
        return self.scan_again(programs, len(rows))

    def scan_again(self, programs: list[Program], n: int) -> np.ndarray:
        """Margins over the byte columns that this thread filled last."""
        frame, out = self._space.fit(n), []
        for made in programs:
            native_path.scan(frame, made.frame, n)
            out.append(native_path.copy_sums(frame, n))
        return out[0] if len(out) == 1 else np.stack(out, axis=1)


def fill_table(layout: Layout, static: np.ndarray, table: np.ndarray) -> None:
    """Bin `static` float32[n, width] into the first columns of `table` int8[n, ·], block by block."""
    space = Space(layout)
    for start in range(0, len(static), _BLOCK):
        rows = np.array(static[start : start + _BLOCK], np.float32, order="C")
        native_path.fill(space.fit(len(rows)), _NO_PINS, rows)
        table[start : start + _BLOCK, : layout.n_columns] = space.byte_columns(len(rows)).T
