"""Score candidates with an XGBoost model, faster than XGBoost and with the very same margins.

Knows nothing of Ray, HTTP or files beyond the model's own. The first `n_shared` columns of the model are the same for
every candidate of a request (user and context); the rest differ by candidate. See docs/forest.md.
"""

import threading
from pathlib import Path

import numpy as np
import xgboost

from cluster.errors import DataError, ModelError
from serving.forest.engine.kernel import Kernel
from serving.forest.llvm.native import best_level
from serving.forest.model import read_model
from serving.forest.top import top_k

_LOGISTIC = {"binary:logistic", "reg:logistic"}
_EXP = {"count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"}
_IDENTITY = {
    "reg:squarederror",
    "reg:absoluteerror",
    "reg:quantileerror",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "binary:logitraw",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
}

_NO_PINS = np.empty(0, np.int32)


def ready(array: np.ndarray, dtype: type) -> np.ndarray:
    """The array as the kernel wants it: of this type, C-contiguous, writeable (numba compiles anew for read-only)."""
    out: np.ndarray = np.ascontiguousarray(array, dtype)
    return out if out.flags.writeable else out.copy()


class Forest:
    """A tree ensemble from an XGBoost model. Thread-safe; knows nothing of Ray.

    `supported` is False when the kernel refuses the model; `reason` says why, and XGBoost scores it instead.
    """

    def __init__(self, booster: xgboost.Booster, n_shared: int, level: str | None = None) -> None:
        model = read_model(booster)
        if not 0 <= n_shared <= model.n_features:
            raise ModelError(f"n_shared is {n_shared}, but the model has {model.n_features} features")
        self.booster = booster
        self.n_features = model.n_features
        self.n_shared = n_shared
        self.n_candidate = model.n_features - n_shared
        self.feature_names = model.feature_names
        self.objective = model.objective
        self.best_iteration = model.best_iteration
        self.reason = model.reason
        self.supported = model.trees is not None
        self._predicts_in_place = model.kind != "gblinear"  # which cannot
        self.level = level or best_level()
        self.trees = model.trees
        self.n_outputs = len(model.trees.base) if model.trees is not None else self._ask_outputs()
        self._lock = threading.Lock()
        self._kernels: dict[str, Kernel] = {}

    @classmethod
    def from_booster(cls, booster: xgboost.Booster, n_shared: int, level: str | None = None) -> "Forest":
        """From a trained Booster whose first `n_shared` columns are the shared (user, context) features.

        `level` forces an instruction set ("avx512", "avx2", "plain"); the default is the machine's best.
        """
        return cls(booster, n_shared, level)

    @classmethod
    def load(cls, path: str | Path, n_shared: int) -> "Forest":
        """From a model file (.ubj or .json). Raises ModelError if XGBoost cannot read it."""
        booster = xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(str(path))
        except xgboost.core.XGBoostError as error:
            raise ModelError(f"cannot read the model {path}: {str(error).splitlines()[0]}") from error
        return cls(booster, n_shared)

    def warm(self) -> None:
        """Compile everything; call it before a replica reports healthy."""
        if not self.supported:
            return
        rows = np.zeros((600, self.n_features), np.float32)
        self.margins(rows[0, : self.n_shared], rows[:, self.n_shared :])
        self.margins_of_rows(rows)
        top_k(rows[:, 0] if self.n_features else np.zeros(1, np.float32), 10)

    def margins(self, shared: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Raw scores, float32[n] (or [n, outputs]): those of `Booster.predict(output_margin=True)`, bit for bit.

        `shared` float32[S], `candidates` float32[n, C]; NaN is missing.
        """
        shared = self._check_shared(shared)
        candidates = self._check_candidates(candidates)
        kernel = self.kernel("request")
        if kernel is None:
            return self._from_parts(shared, candidates)
        margins = kernel.request(shared, _NO_PINS, candidates)
        assert margins is not None  # only a pin table can lack a pin
        return margins

    def margins_of_rows(self, rows: np.ndarray) -> np.ndarray:
        """As `margins` for rows float32[n, S + C] that share nothing: a batch that mixes users."""
        rows = ready(rows, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.n_features:
            raise DataError(f"rows has shape {rows.shape}; the model wants (n, {self.n_features})")
        kernel = self.kernel("rows")
        if kernel is None:
            return self.xgboost_margins(rows)
        margins = kernel.request(np.empty(0, np.float32), _NO_PINS, rows)
        assert margins is not None
        return margins

    def predict(self, shared: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Scores after the objective's link: probability for binary:logistic, the value itself for regression."""
        return self.link(self.margins(shared, candidates))

    def link(self, margins: np.ndarray) -> np.ndarray:
        """Apply the objective's link to margins, float32. Raises ModelError for an objective it does not know."""
        if self.objective in _IDENTITY:
            return margins
        with np.errstate(over="ignore"):
            if self.objective in _LOGISTIC:
                return (1 / (1 + np.exp(-margins))).astype(np.float32)
            if self.objective in _EXP:
                return np.exp(margins).astype(np.float32)
        if self.objective == "multi:softprob":
            e = np.exp(margins - margins.max(axis=1, keepdims=True))
            return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)
        raise ModelError(f"no link for the objective {self.objective}: use margins()")

    def specialise(self, shared: np.ndarray) -> "SpecialisedForest":
        """The forest of one request: every split on a shared feature is resolved once."""
        return SpecialisedForest(self, self._check_shared(shared).copy())

    def top(self, shared: np.ndarray, candidates: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best candidates: (index int32[k], margin float32[k]), best first, ties by the lower index."""
        return top_k(self.margins(shared, candidates), k)

    def kernel(self, kind: str) -> "Kernel | None":
        """The kernel for "request" (shared features resolved) or "rows" (nothing shared); None if XGBoost scores."""
        if self.trees is None:
            return None
        if kind in self._kernels:
            return self._kernels[kind]
        with self._lock:
            if kind not in self._kernels:
                resolved = self.n_shared if kind == "request" else 0
                self._kernels[kind] = Kernel(self.trees, resolved, self.n_features, self.level)
            return self._kernels[kind]

    def _check_shared(self, shared: np.ndarray) -> np.ndarray:
        shared = ready(shared, np.float32)
        if shared.shape != (self.n_shared,):
            raise DataError(f"shared has shape {shared.shape}; the model wants ({self.n_shared},)")
        return shared

    def _check_candidates(self, candidates: np.ndarray) -> np.ndarray:
        candidates = ready(candidates, np.float32)
        if candidates.ndim != 2 or candidates.shape[1] != self.n_candidate:
            raise DataError(f"candidates has shape {candidates.shape}; the model wants (n, {self.n_candidate})")
        return candidates

    def _from_parts(self, shared: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        same = np.broadcast_to(shared, (len(candidates), len(shared)))
        return self.xgboost_margins(np.concatenate([same, candidates], axis=1))

    def _ask_outputs(self) -> int:
        return int(self.xgboost_margins(np.zeros((1, self.n_features), np.float32)).size)

    def xgboost_margins(self, rows: np.ndarray) -> np.ndarray:
        """XGBoost's own margins of rows float32[n, S + C]."""
        if self._predicts_in_place:
            margins = self.booster.inplace_predict(rows, predict_type="margin", validate_features=False)
        else:
            margins = self.booster.predict(xgboost.DMatrix(rows), output_margin=True, validate_features=False)
        return np.asarray(margins, np.float32)


class SpecialisedForest:
    """A forest resolved on one request's shared features. Holds nothing that changes; use it from any thread."""

    def __init__(self, forest: Forest, shared: np.ndarray) -> None:
        self.forest = forest
        self.shared = shared
        self._kernel = forest.kernel("request")
        self.programs = self._kernel.collapse(shared) if self._kernel is not None else []

    def margins(self, candidates: np.ndarray) -> np.ndarray:
        """As `Forest.margins` for the shared features given to `specialise`."""
        candidates = self.forest._check_candidates(candidates)
        if self._kernel is None:
            return self.forest._from_parts(self.shared, candidates)
        return self._kernel.margins(self.programs, candidates)
