"""A model's whole scoring path: bin, collapse, scan; with a pin table, gather first. Knows arrays, no files, no Ray."""

import dataclasses

import numpy as np

from serving.forest.bins import Column, plan_bins
from serving.forest.engine import scoring
from serving.forest.engine.buffers import Layout, Space
from serving.forest.engine.collapser import Collapser, Program
from serving.forest.engine.scoring import TILE
from serving.forest.llvm.native import native
from serving.forest.llvm.scan import SLOTS
from serving.forest.model import Trees

_BLOCK = 4096  # pins binned at once when a table is built
_NO_PINS = np.empty(0, np.int32)


_NO_TABLE = np.zeros((0, 0), np.int8)


class Kernel:
    """Scores candidates whose first `n_resolved` features are given apart (0: none). Any thread may call it.

    With `static` float32[n_pins, P], the features `static_features` int[P] of a candidate come from its pin's row, and
    rows hold the others, in order: `dynamic_features`. `table` int8[n_pins, width] is the only memory per pin. Only the
    bench uses a pin table (apps/bench/forest/bound.py): serving has a candidate's floats anyway, because it logs them.
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
        table_width = -(-n_stored // TILE) * TILE
        behind_table = np.where(plan.column < n_stored, plan.column, plan.column - n_stored + table_width)
        moved_plan = dataclasses.replace(plan, column=behind_table.astype(np.int32))

        self.native = native(level)
        self.n_outputs = len(trees.base)
        self.collapsers = [Collapser(trees, group, moved_plan, n_resolved) for group in range(self.n_outputs)]
        self.table = np.zeros((0 if static is None else len(static), table_width), np.int8)
        if static is not None and n_stored:
            layout = self._layout(_NO_TABLE, plan.columns[:n_stored], stored, SLOTS)
            fill_table(layout, static, self.table)
        slots = max(collapser.scratch_slots for collapser in self.collapsers)
        self._space = Space(self._layout(self.table, plan.columns[n_stored:], self.dynamic_features, slots))
        self._fixed = self.collapse(np.empty(0, np.float32)) if n_resolved == 0 else None

    def _layout(self, table: np.ndarray, columns: list[Column], features: list[int], slots: int) -> Layout:
        """Scratch to bin rows that hold `features`, in order."""
        sources = [features.index(column.feature) for column in columns]
        return Layout(self.native, table, columns, sources, len(features), slots)

    def collapse(self, shared: np.ndarray) -> list[Program]:
        """The programs of one request, one per output, in memory of their own."""
        return [collapser.collapse(shared, collapser.new_program()) for collapser in self.collapsers]

    def request(self, shared: np.ndarray, pins: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        """float32[n] or [n, outputs] of int32[n] pins (empty without a table) and C-contiguous float32[n, width] rows.

        None if a pin is not in the table. Arrays must be writeable: numba compiles anew for others.
        """
        n = len(rows)
        frame = self._space.fit(n)
        first = self.collapsers[0]
        if self._fixed is None and self.n_outputs == 1 and first.model is not None:
            margins: np.ndarray = scoring.score_request(
                frame, first.model, first.own_program().frame, shared, pins, rows
            )
            return margins if len(margins) == n else None
        if not scoring.known(frame, pins):
            return None
        scoring.fill(frame, pins, rows)
        programs = self._fixed or [collapser.collapse(shared, collapser.own_program()) for collapser in self.collapsers]
        return self.scan_again(programs, n)

    def margins(self, programs: list[Program], rows: np.ndarray) -> np.ndarray:
        """float32[n] or [n, outputs] of C-contiguous rows float32[n, features not resolved], by programs kept."""
        scoring.fill(self._space.fit(len(rows)), _NO_PINS, rows)
        return self.scan_again(programs, len(rows))

    def scan_again(self, programs: list[Program], n: int) -> np.ndarray:
        """Margins over the byte columns that this thread filled last."""
        frame = self._space.fit(n)
        out = []
        for made in programs:
            scoring.scan(frame, made.frame, n)
            out.append(scoring.copy_sums(frame, n))
        return out[0] if len(out) == 1 else np.stack(out, axis=1)


def fill_table(layout: Layout, static: np.ndarray, table: np.ndarray) -> None:
    """Bin `static` float32[n, width] into the first columns of `table` int8[n, ·], block by block."""
    space = Space(layout)
    for start in range(0, len(static), _BLOCK):
        rows = np.array(static[start : start + _BLOCK], np.float32, order="C")
        scoring.fill(space.fit(len(rows)), _NO_PINS, rows)
        table[start : start + _BLOCK, : layout.n_columns] = space.byte_columns(len(rows)).T
