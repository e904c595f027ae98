"""The forest bench's peers: each builds a function that scores request i, or raises if it is not installed.

Nothing here is needed by the project; see apps/bench/peers.txt.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost

Build = Callable[[xgboost.Booster, np.ndarray, np.ndarray, int, list[np.ndarray]], Callable[[int], Any]]


def _daal4py(
    booster: xgboost.Booster, x: np.ndarray, y: np.ndarray, trees: int, requests: list[np.ndarray]
) -> Callable[[int], Any]:
    import daal4py  # type: ignore[import-not-found]

    model = daal4py.mb.convert_model(booster)
    daal4py.daalinit(nthreads=1)
    return lambda i: model.predict_proba(requests[i])


def _catboost(
    booster: xgboost.Booster, x: np.ndarray, y: np.ndarray, trees: int, requests: list[np.ndarray]
) -> tuple[Any, list[Any]]:
    import catboost  # type: ignore[import-not-found]

    model = catboost.CatBoostClassifier(
        iterations=trees, depth=6, verbose=False, thread_count=1, random_seed=1, allow_writing_files=False
    )
    model.fit(x, y)
    return model, [catboost.Pool(rows) for rows in requests]


def _catboost_pool(*arguments: Any) -> Callable[[int], Any]:
    model, pools = _catboost(*arguments)
    return lambda i: model.predict(pools[i], prediction_type="RawFormulaVal", thread_count=1)


def _onnxruntime(
    booster: xgboost.Booster, x: np.ndarray, y: np.ndarray, trees: int, requests: list[np.ndarray]
) -> Callable[[int], Any]:
    import onnxmltools  # type: ignore[import-not-found]
    import onnxruntime
    from onnxmltools.convert.common.data_types import FloatTensorType  # type: ignore[import-not-found]

    model = onnxmltools.convert_xgboost(booster, initial_types=[("x", FloatTensorType([None, x.shape[1]]))])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda i: session.run(None, {"x": requests[i]})


PEERS: dict[str, Build] = {"daal4py": _daal4py, "catboost_pool": _catboost_pool, "onnxruntime": _onnxruntime}
