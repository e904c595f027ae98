"""What the forest benches share: the model, the requests, the machine. Measures nothing."""

from typing import Any

import numpy as np
import xgboost

from apps.bench.machine import machine, versions
from serving.forest.llvm.native import best_level

S = 16
C = 24
N = 2000
TOP = 500
STATIC = 20
DEPTH = 6
USERS = 12  # requests in a round
GOAL = 75e6


def make_model(trees: int, rows: int) -> tuple[xgboost.Booster, np.ndarray, np.ndarray]:
    """A binary model whose label depends on user, pin, and user x pin; also its data."""
    rng = np.random.default_rng(trees)
    x = rng.normal(size=(rows, S + C)).astype(np.float32)
    cross = (x[:, :S] @ rng.normal(size=(S, C)) * x[:, S:]).sum(1)
    y = (x @ rng.normal(size=S + C) + 0.3 * cross + rng.normal(size=rows) > 0).astype(np.float32)
    params = {"objective": "binary:logistic", "max_depth": DEPTH, "tree_method": "hist", "max_bin": 256, "nthread": 1}
    return xgboost.train(params, xgboost.DMatrix(x, y), trees), x, y


def make_requests(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Rows float32[N, S + C] of USERS requests: with one user each, and with a user per row."""
    rng = np.random.default_rng(seed)
    mixed = [rng.normal(size=(N, S + C)).astype(np.float32) for _ in range(USERS)]
    same = [rows.copy() for rows in mixed]
    for rows in same:
        rows[:, :S] = rows[0, :S]
    return same, mixed


def where() -> dict[str, Any]:
    """The machine and the versions beside the figures."""
    names = ("xgboost", "numba", "llvmlite", "numpy", "daal4py", "catboost", "onnxruntime")
    return {"machine": {**machine(), "level": best_level()}, "versions": versions(*names)}
