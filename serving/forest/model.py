"""Read an XGBoost model into flat arrays, or say why the kernel cannot score it.

Knows the model file's layout and nothing of kernels, requests or Ray. The source of the layout is XGBoost's own JSON
schema (doc/model.schema in its repository); the base margin is asked of XGBoost itself, so that the objective's link
is never re-implemented for it.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

LEAF = -1


@dataclass(frozen=True)
class Trees:
    """All trees of a model in one set of arrays, each tree in preorder (a parent stands before its children).

    `left`, `right` int32[nodes]: rows of the children, LEAF for a leaf. `feature` int32[nodes]: column of the
    split, LEAF for a leaf. `value` float32[nodes]: a row goes left if x < value; for a leaf, its weight. `default_left`
    bool[nodes]: where a missing (NaN) value goes. `roots` int32[trees + 1]: first node of each tree. `group`
    int32[trees]: which output a tree adds to. `base` float32[outputs]: the margin before any tree.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    default_left: np.ndarray
    roots: np.ndarray
    group: np.ndarray
    base: np.ndarray

    @property
    def n_trees(self) -> int:
        """Trees of all outputs together."""
        return len(self.group)


@dataclass(frozen=True)
class Model:
    """What `read_model` found. `trees` is None for a refused model, with the reason in `reason`."""

    n_features: int
    feature_names: list[str] | None
    kind: str  # gbtree, dart or gblinear
    objective: str
    best_iteration: int | None
    trees: Trees | None
    reason: str


def read_model(booster: xgboost.Booster) -> Model:
    """Read a Booster. Every tree counts, as in `Booster.predict`: `best_iteration` is reported, not applied."""
    document = json.loads(bytes(booster.save_raw("json")))
    learner = document["learner"]
    best = learner.get("attributes", {}).get("best_iteration")
    reason = _refusal(learner)
    return Model(
        n_features=int(learner["learner_model_param"]["num_feature"]),
        feature_names=list(learner["feature_names"]) or None if learner.get("feature_names") else None,
        kind=learner["gradient_booster"]["name"],
        objective=learner["objective"]["name"],
        best_iteration=int(best) if best is not None else None,
        trees=None if reason else _flatten(learner, _base_margin(document)),
        reason=reason,
    )


def _refusal(learner: dict[str, Any]) -> str:
    """Why the kernel cannot score the model, empty if it can."""
    name = learner["gradient_booster"]["name"]
    if name != "gbtree":
        return f"the booster is {name}; the kernel scores gbtree only, so XGBoost scores this model itself"
    trees = learner["gradient_booster"]["model"]["trees"]
    if not trees:
        return "the model has no trees, so XGBoost scores it itself"
    if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in trees):
        return "leaves are vectors (multi_strategy=multi_output_tree), so XGBoost scores this model itself"
    if any(any(tree["split_type"]) or tree.get("categories") for tree in trees):
        return "the model has categorical splits, so XGBoost scores it itself; numbers instead of categories avoid that"
    return ""


def _base_margin(document: dict[str, Any]) -> np.ndarray:
    """The margin XGBoost starts from, float32[outputs]: its answer for the same model with every leaf at minus zero.

    Minus zero adds nothing to any float. Zero would lose the sign of a margin of -0, which a base_score of 0.5 has.
    """
    zeroed = json.loads(json.dumps(document))
    for tree in zeroed["learner"]["gradient_booster"]["model"]["trees"]:
        tree["split_conditions"] = [
            -0.0 if child == LEAF else split
            for child, split in zip(tree["left_children"], tree["split_conditions"], strict=True)
        ]
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(zeroed).encode()))
    row = np.zeros((1, int(document["learner"]["learner_model_param"]["num_feature"])), np.float32)
    margin = booster.inplace_predict(row, predict_type="margin", validate_features=False)
    return np.asarray(margin, np.float32).reshape(-1)


def _preorder(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    order = []
    stack = [0]
    while stack:
        node = stack.pop()
        order.append(node)
        if left[node] != LEAF:
            stack += (int(right[node]), int(left[node]))
    return np.asarray(order, np.int32)


def _flatten(learner: dict[str, Any], base: np.ndarray) -> Trees:
    model = learner["gradient_booster"]["model"]
    parts: dict[str, list[np.ndarray]] = {k: [] for k in ("left", "right", "feature", "value", "default_left")}
    roots = [0]
    for tree in model["trees"]:
        left = np.asarray(tree["left_children"], np.int32)
        right = np.asarray(tree["right_children"], np.int32)
        order = _preorder(left, right)  # nodes that pruning deleted are not reachable and drop out here
        row = np.full(len(left), LEAF, np.int32)  # of a node among the nodes of all trees
        row[order] = np.arange(len(order), dtype=np.int32) + roots[-1]
        leaf = left[order] == LEAF
        parts["left"].append(np.where(leaf, LEAF, row[left[order]]))
        parts["right"].append(np.where(leaf, LEAF, row[right[order]]))
        parts["feature"].append(np.where(leaf, LEAF, np.asarray(tree["split_indices"], np.int32)[order]))
        parts["value"].append(np.asarray(tree["split_conditions"], np.float64).astype(np.float32)[order])
        parts["default_left"].append(np.asarray(tree["default_left"], np.bool_)[order])
        roots.append(roots[-1] + len(order))
    return Trees(
        left=np.concatenate(parts["left"]).astype(np.int32),
        right=np.concatenate(parts["right"]).astype(np.int32),
        feature=np.concatenate(parts["feature"]).astype(np.int32),
        value=np.concatenate(parts["value"]),
        default_left=np.concatenate(parts["default_left"]),
        roots=np.asarray(roots, np.int32),
        group=np.asarray(model["tree_info"], np.int32),
        base=base,
    )
