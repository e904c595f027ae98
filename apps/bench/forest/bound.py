"""A forest tied to a pin table: the path ids, gather, specialise, score, top k. Knows nothing of Ray or of storage.

The static features of every pin are kept as bytes, one row per pin, so that a request reads one or two cache lines per
candidate and bins its dynamic features only.
"""

import numpy as np
import numpy.typing as npt

from cluster.errors import DataError
from serving.forest.engine.kernel import Kernel
from serving.forest.forest import Forest, ready
from serving.forest.top import top_k


class BoundForest:
    """A forest and the bytes of `n_pins` pins. Any thread may call it.

    `static` float32[n_pins, P] holds the candidate columns `static_columns` int[P], counted from the model's first
    candidate column; the others are `dynamic_columns`. Raises DataError if shapes do not fit.
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
        self.kernel: Kernel | None = None
        if forest.trees is not None:
            self.kernel = Kernel(
                forest.trees, forest.n_shared, forest.n_features, forest.level, static, columns + forest.n_shared
            )

    def score(self, shared: np.ndarray, pins: np.ndarray, dynamic: np.ndarray) -> np.ndarray:
        """Margins, as Forest.margins, of `pins` (int32[n]) with dynamic columns float32[n, D] (in column order)."""
        forest = self.forest
        shared = ready(shared, np.float32)
        pins = ready(pins, np.int32)
        dynamic = ready(dynamic, np.float32)
        n = len(pins)
        if shared.shape != (forest.n_shared,) or dynamic.shape != (n, len(self.dynamic_columns)):
            raise DataError(
                f"shared has shape {shared.shape}, dynamic {dynamic.shape}; "
                f"wanted ({forest.n_shared},) and ({n}, {len(self.dynamic_columns)})"
            )
        margins = None
        if self.kernel is not None:
            margins = self.kernel.request(shared, pins, dynamic)
        elif n == 0 or (pins.min() >= 0 and pins.max() < self.n_pins):
            margins = self._ask_xgboost(shared, pins, dynamic)
        if margins is None:
            raise DataError(f"a pin index is outside 0 to {self.n_pins - 1}: drop unknown ids (-1) before scoring")
        return margins

    def _ask_xgboost(self, shared: np.ndarray, pins: np.ndarray, dynamic: np.ndarray) -> np.ndarray:
        assert self._static is not None
        candidates = np.empty((len(pins), self.forest.n_candidate), np.float32)
        candidates[:, self.static_columns] = self._static[pins]
        candidates[:, self.dynamic_columns] = dynamic
        return self.forest.margins(shared, candidates)

    def top(self, shared: np.ndarray, pins: np.ndarray, dynamic: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best of `pins`: (position int32[k] in `pins`, margin float32[k]), best first, ties by position."""
        return top_k(self.score(shared, pins, dynamic), k)
