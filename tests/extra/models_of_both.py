"""Writes small models with the xgboost of this environment, and checks those that another one wrote.

`python -m tests.extra.models_of_both FOLDER` writes; with `--check VERSION` it loads what xgboost VERSION wrote there
and compares margins with the ones that it saved. Needs neither Ray nor torch.
"""

import sys
from pathlib import Path

import numpy as np
import xgboost as xgb

from training.lightweight.portable import make_portable

NAMES = ["degree", "lift", "topic", "age"]
OBJECTIVES = ("binary:logistic", "reg:squarederror", "rank:ndcg")


def _matrix() -> np.ndarray:
    x = np.random.default_rng(0).random((400, len(NAMES)), dtype=np.float32)
    x[::7, 1] = np.nan
    return x


def write_models(folder: Path) -> None:
    """A logistic, a regression and a ranking model, and their margins, named by version and objective."""
    folder.mkdir(parents=True, exist_ok=True)
    x = _matrix()
    for objective in OBJECTIVES:
        data = xgb.DMatrix(x, label=(x[:, 0] > 0.7).astype(float), feature_names=NAMES)
        if objective == "rank:ndcg":
            data.set_info(group=[20] * 20)
        booster = xgb.train({"objective": objective, "tree_method": "hist", "seed": 0}, data, 8)
        stem = folder / f"{xgb.__version__}-{objective.split(':')[1]}"
        stem.with_name(stem.name + ".ubj").write_bytes(make_portable(bytes(booster.save_raw("ubj"))))
        np.save(stem.with_name(stem.name + ".npy"), booster.predict(data, output_margin=True))


def check_models(folder: Path, version: str) -> int:
    """Load every model that an xgboost of `version` (a prefix) wrote; margins must be equal. Returns how many."""
    checked = 0
    for path in sorted(folder.glob(f"{version}*.ubj")):
        booster = xgb.Booster(model_file=str(path))
        margins = booster.predict(xgb.DMatrix(_matrix(), feature_names=NAMES), output_margin=True)
        np.testing.assert_array_equal(margins, np.load(path.with_suffix(".npy")))
        assert booster.feature_names == NAMES
        checked += 1
    return checked


if __name__ == "__main__":
    if "--check" in sys.argv:
        at = sys.argv.index("--check")
        count = check_models(Path(sys.argv[1]), sys.argv[at + 1])
        assert count == len(OBJECTIVES), f"{count} models of xgboost {sys.argv[at + 1]}, expected {len(OBJECTIVES)}"
    else:
        write_models(Path(sys.argv[1]))
