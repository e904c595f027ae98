"""A model's whole scoring path for float rows: collapse per request, bin, scan. Knows arrays, not requests or Ray."""

import numpy as np

from serving.forest_bins import plan_bins
from serving.forest_buffers import Binner
from serving.forest_engine import Engine, Program, Workspace, scan
from serving.forest_model import Trees
from serving.forest_native import Native, native


class Kernel:
    """Scores rows whose first `n_resolved` features are given apart (0: none). Any thread may call it."""

    def __init__(self, trees: Trees, n_resolved: int, n_features: int, level: str) -> None:
        plan = plan_bins(trees, range(n_resolved, n_features))
        self.native = native(level)
        self.n_outputs = len(trees.base)
        self.engines = [Engine(trees, group, plan, n_resolved) for group in range(self.n_outputs)]
        self.slots = max(engine.scratch_slots for engine in self.engines)
        features = [column.feature - n_resolved for column in plan.columns]
        self._binner = Binner(plan.columns, features, n_features - n_resolved)
        self._space = Workspace()
        self._fixed = [engine.collapse(np.empty(0, np.float32)) for engine in self.engines] if n_resolved == 0 else None

    def collapse(self, shared: np.ndarray, keep: bool = True) -> list[Program]:
        """The programs of one request, one per output; without `keep`, valid until this thread's next call."""
        return self._fixed or [engine.collapse(shared, keep) for engine in self.engines]

    def margins(self, programs: list[Program], rows: np.ndarray) -> np.ndarray:
        """float32[n] or [n, outputs] of C-contiguous rows float32[n, features not resolved]."""
        space = self._space
        space.bytes.reserve(self._binner.count, len(rows))
        self._binner.fill(self.native, rows, space.bytes.start, space.bytes.stride, space.floats)
        return run(self.native, self.slots, space, programs, len(rows))

    def scan_again(self, programs: list[Program], n: int) -> np.ndarray:
        """Margins over the byte columns that this thread binned last; for measuring the scan alone."""
        return run(self.native, self.slots, self._space, programs, n)


def run(native: Native, slots: int, space: Workspace, programs: list[Program], n: int) -> np.ndarray:
    """Scan the byte columns in `space` with each output's program."""
    space.reserve_slots(slots, native)
    if len(programs) == 1:
        return scan(native, space, programs[0], n)
    return np.stack([scan(native, space, made, n) for made in programs], axis=1)
