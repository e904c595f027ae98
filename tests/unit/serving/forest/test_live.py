"""The forest kernel's live leaves: every way a tree is cut down to a program, and what serving hands in. No Ray."""

import numpy as np
import pytest
import xgboost

from apps.bench.forest.bound import BoundForest
from serving.forest.engine import live
from serving.forest.engine.scoring import score_request
from serving.forest.forest import Forest
from tests.unit.serving.forest.test_forest import check, one_user, rows_of, same_bits, train, truth


def leaves_of(forest: Forest, shared: np.ndarray) -> np.ndarray:
    """Leaves in each chunk of a request's program."""
    made = forest.specialise(shared).programs[0]
    return made.sizes[: made.chunks] + 1


def test_a_tree_with_more_than_32_live_leaves_becomes_several_chunks() -> None:
    booster = train(rows_of(1, 6000, 5, 0.05, 0), 6, max_depth=6, min_child_weight=0)
    forest = Forest.from_booster(booster, 0)
    trees = [tree.count("leaf") for tree in booster.get_dump()]
    assert 32 < max(trees) <= 64
    assert forest.kernel("request").collapsers[0].model is not None  # by masks, not by traversal
    chunks = leaves_of(forest, np.empty(0, np.float32))
    assert len(chunks) > len(trees)
    assert chunks.max() <= 32
    check(booster, rows_of(2, 900, 5, 0.2, 0), 0)


def test_only_what_a_user_leaves_open_is_scanned() -> None:
    rows = rows_of(3, 4000, 10, 0.1, 0)
    booster = train(rows, 10, max_depth=6)
    all_shared, none_shared = Forest.from_booster(booster, 10), Forest.from_booster(booster, 0)
    assert (leaves_of(all_shared, rows[0]) == 1).all()
    some = Forest.from_booster(booster, 5)
    assert leaves_of(some, rows[0, :5]).sum() < leaves_of(none_shared, np.empty(0, np.float32)).sum() / 2


@pytest.mark.parametrize("name", ["MOST", "DEEPEST", "MOST_BYTES"])
def test_a_model_beyond_the_masks_is_traversed_to_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, name, 2)
    booster = train(rows_of(4, 2000, 8, 0.1, 0), 8, max_depth=6)
    assert Forest.from_booster(booster, 3).kernel("request").collapsers[0].model is None
    check(booster, rows_of(5, 300, 8, 0.2, 0), 3)


@pytest.mark.parametrize(
    ("objective", "base_score"),
    [("binary:logistic", 0.03), ("reg:squarederror", -7.25), ("reg:squarederror", 1e4), ("count:poisson", 0.2)],
)
def test_the_base_score_is_xgboosts(objective: str, base_score: float) -> None:
    booster = train(rows_of(6, 500, 6, 0.1, 0), 4, objective=objective, base_score=base_score, max_depth=4)
    check(booster, rows_of(7, 100, 6, 0.1, 0), 2)


def test_a_margin_of_minus_zero_keeps_its_sign() -> None:
    rows = np.array([[1.0], [2.0], [1.0], [2.0]], np.float32)  # labels that cancel out: a leaf of -0
    params = {"nthread": 1, "objective": "binary:logistic", "base_score": 0.5, "min_child_weight": 0}
    booster = xgboost.train(params, xgboost.DMatrix(rows, [1, 0, 0, 1]), 1)
    assert np.signbit(truth(booster, rows)).all()
    check(booster, rows, 0)
    check(booster, rows, 1)


def test_shared_values_on_thresholds_missing_and_infinite() -> None:
    booster = train(rows_of(8, 2000, 6, 0.2, 4), 10, max_depth=6)  # a coarse grid: few thresholds, often hit
    forest = Forest.from_booster(booster, 4)
    cuts = np.unique(forest.trees.value[forest.trees.feature >= 0])
    rows = rows_of(9, 64, 6, 0.1, 4)
    for value in (*cuts[:40], np.float32("nan"), np.float32("inf"), np.float32("-inf"), np.float32(-0.0)):
        rows[:, :4] = value
        assert same_bits(forest.margins(rows[0, :4], rows[:, 4:]), truth(booster, rows)), value


def test_inputs_may_be_read_only_sliced_or_of_another_type() -> None:
    booster = train(rows_of(10, 500, 9, 0.1, 0), 5)
    rows = one_user(rows_of(11, 200, 9, 0.1, 0), 3)
    want, forest = truth(booster, rows), Forest.from_booster(booster, 3)
    forest.warm()
    compiled = len(score_request.signatures)
    frozen = rows[:, 3:].copy()
    frozen.flags.writeable = False
    for candidates in (frozen, rows[:, 3:], np.asfortranarray(rows[:, 3:]), rows[:, 3:].astype(np.float64)):
        assert same_bits(forest.margins(rows[0, :3], candidates), want)
    bound = BoundForest(forest, rows[:, 3:6], [0, 1, 2])
    pins = np.arange(200)
    pins.flags.writeable = False
    assert same_bits(bound.score(rows[0, :3], pins, rows[:, 6:]), want)
    assert len(score_request.signatures) == compiled  # nothing compiles within a request
