"""The forest kernel against XGBoost: margins bit for bit, over random models and inputs. No Ray."""

import threading

import numpy as np
import pytest
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import DataError, ModelError
from serving.forest.forest import Forest
from serving.forest.llvm.native import LEVELS, best_level

_ORDER = list(LEVELS)
USABLE = _ORDER[_ORDER.index(best_level()) :]  # every level below the best one runs here too
PARAMS = {"nthread": 1, "seed": 3}


def rows_of(seed: int, n: int, width: int, missing: float, grid: int) -> np.ndarray:
    """Random float32[n, width]; grid > 0 puts values on a few points, so that rows meet thresholds exactly."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, width)).astype(np.float32)
    if grid:
        rows = np.round(rows * grid).astype(np.float32) / np.float32(grid)
    rows[rng.random(rows.shape) < missing] = np.nan
    return rows


def train(rows: np.ndarray, rounds: int, seed: int = 0, **params: object) -> xgboost.Booster:
    rng = np.random.default_rng(seed)
    signal = np.nan_to_num(rows) @ rng.normal(size=(rows.shape[1], 1))[:, 0] + rng.normal(size=len(rows))
    label = (signal > 0).astype(np.float32)
    if str(params.get("objective", "")).startswith("reg:squared"):
        label = signal
    if "num_class" in params:
        label = np.digitize(signal, [-1, 1])
    matrix = xgboost.DMatrix(rows, label)
    if str(params.get("objective", "")).startswith("rank:"):
        matrix.set_info(group=[10] * (len(rows) // 10))
    return xgboost.train({**PARAMS, **params}, matrix, rounds)


def one_user(rows: np.ndarray, n_shared: int) -> np.ndarray:
    same = rows.copy()
    same[:, :n_shared] = rows[0, :n_shared]
    return same


def truth(booster: xgboost.Booster, rows: np.ndarray) -> np.ndarray:
    """XGBoost's margins on a fresh matrix: a matrix used in training would answer from its prediction cache."""
    if np.isinf(rows).any():  # a DMatrix refuses infinities
        return booster.inplace_predict(rows, predict_type="margin")
    return booster.predict(xgboost.DMatrix(rows), output_margin=True)


def same_bits(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return (
        ours.shape == theirs.shape and ours.dtype == np.float32 and bool((ours.view("i4") == theirs.view("i4")).all())
    )


def check(booster: xgboost.Booster, rows: np.ndarray, n_shared: int, levels: list[str] = USABLE) -> None:
    same = one_user(rows, n_shared)
    want, want_rows = truth(booster, same), truth(booster, rows)
    for level in levels:
        forest = Forest.from_booster(booster, n_shared, level)
        assert forest.supported, forest.reason
        assert same_bits(forest.margins(same[0, :n_shared], same[:, n_shared:]), want), level
        assert same_bits(forest.margins_of_rows(rows), want_rows), level


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**31),
    width=st.integers(1, 20),
    shared=st.floats(0, 1),
    depth=st.integers(1, 9),
    rounds=st.integers(1, 12),
    missing=st.sampled_from([0.0, 0.1, 0.6]),
    grid=st.sampled_from([0, 2, 20]),
    method=st.sampled_from(["hist", "exact", "approx"]),
    objective=st.sampled_from(["binary:logistic", "reg:squarederror", "count:poisson", "rank:pairwise", "rank:ndcg"]),
    wild=st.booleans(),
    n=st.integers(1, 700),
)
def test_random_models_are_bit_identical(seed, width, shared, depth, rounds, missing, grid, method, objective, wild, n):
    booster = train(
        rows_of(seed, 400, width, missing, grid),
        rounds,
        seed,
        max_depth=depth,
        tree_method=method,
        objective=objective,
        min_child_weight=0,
        eta=0.7,
    )
    rows = rows_of(seed + 1, n, width, 0.2, grid)
    if wild:
        at = np.random.default_rng(seed).random(rows.shape)
        rows[at < 0.05], rows[at > 0.95] = np.inf, -np.inf
        rows[(at > 0.5) & (at < 0.55)] = -0.0
    check(booster, rows, round(shared * width))


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 63, 64, 65, 511, 512, 513, 1100])
def test_any_number_of_candidates(n):
    booster = train(rows_of(1, 500, 20, 0.1, 0), 8, max_depth=5)
    rows = rows_of(2, max(n, 1), 20, 0.1, 0)
    want = truth(booster, one_user(rows, 3))[:n]
    for level in USABLE:
        got = Forest.from_booster(booster, 3, level).margins(rows[0, :3], rows[:n, 3:])
        assert same_bits(got, want)


def test_more_than_255_thresholds_of_one_feature():
    rows = rows_of(4, 3000, 3, 0.05, 0)
    booster = train(rows, 60, tree_method="exact", max_depth=7, min_child_weight=0)
    forest = Forest.from_booster(booster, 1)
    cuts = [len(np.unique(forest.trees.value[forest.trees.feature == f])) for f in range(3)]
    assert max(cuts[1:]) > 255
    check(booster, rows_of(5, 900, 3, 0.05, 0), 1)


@pytest.mark.parametrize("params", [{"max_depth": 11}, {"max_depth": 0, "max_leaves": 300, "grow_policy": "lossguide"}])
def test_trees_beyond_the_masks(params):
    booster = train(rows_of(6, 4000, 6, 0.1, 0), 4, min_child_weight=0, **params)
    assert max(tree.count("leaf") for tree in booster.get_dump()) > 64
    check(booster, rows_of(7, 300, 6, 0.1, 0), 2)


def test_trees_without_splits():
    booster = train(rows_of(8, 300, 4, 0, 0), 3, min_child_weight=1e9)
    assert all("leaf" in tree and "yes" not in tree for tree in booster.get_dump())
    check(booster, rows_of(9, 70, 4, 0.1, 0), 2)


@pytest.mark.parametrize("objective", ["multi:softprob", "reg:squarederror"])
def test_several_outputs(objective):
    rows = rows_of(10, 600, 8, 0.1, 0)
    if objective == "multi:softprob":
        booster = train(rows, 6, objective=objective, num_class=3, max_depth=4)
    else:
        labels = np.random.default_rng(0).normal(size=(600, 2))
        booster = xgboost.train({**PARAMS, "max_depth": 4}, xgboost.DMatrix(rows, labels), 6)
    forest = Forest.from_booster(booster, 3)
    assert forest.n_outputs == (3 if objective == "multi:softprob" else 2)
    check(booster, rows_of(11, 200, 8, 0.1, 0), 3)
    with pytest.raises(ValueError, match="one score per candidate"):
        forest.top(rows[0, :3], rows[:, 3:], 5)


def test_predict_applies_the_link():
    for objective in ("binary:logistic", "reg:squarederror", "count:poisson", "multi:softprob", "binary:logitraw"):
        extra = {"num_class": 3} if objective.startswith("multi") else {}
        rows = one_user(rows_of(12, 400, 6, 0.1, 0), 2)
        booster = train(rows, 5, objective=objective, max_depth=3, **extra)
        got = Forest.from_booster(booster, 2).predict(rows[0, :2], rows[:, 2:])
        np.testing.assert_allclose(got, booster.predict(xgboost.DMatrix(rows.copy())), rtol=2e-6, atol=1e-7)


def test_every_tree_counts_after_early_stopping():
    rows = rows_of(13, 600, 6, 0, 0)
    label = np.random.default_rng(0).integers(0, 2, 600)
    held_out = xgboost.DMatrix(rows[300:], label[300:])
    params = {**PARAMS, "objective": "binary:logistic", "eta": 1.0}
    booster = xgboost.train(
        params,
        xgboost.DMatrix(rows[:300], label[:300]),
        40,
        evals=[(held_out, "held_out")],
        early_stopping_rounds=3,
        verbose_eval=False,
    )
    forest = Forest.from_booster(booster, 2)
    assert forest.best_iteration == booster.best_iteration
    assert forest.trees.n_trees == booster.num_boosted_rounds() > booster.best_iteration + 1
    check(booster, rows, 2)
    check(booster[: booster.best_iteration + 1], rows, 2)


def test_refused_models_are_scored_by_xgboost_with_a_reason():
    rows = one_user(np.abs(np.round(rows_of(14, 300, 4, 0, 0) * 2)), 1)
    label = (rows.sum(1) > 4).astype(int)
    types = ["q", "q", "c", "c"]
    categorical = xgboost.train(
        {**PARAMS, "max_cat_to_onehot": 1},
        xgboost.DMatrix(rows, label, feature_types=types, enable_categorical=True),
        4,
    )
    vectors = xgboost.train(
        {**PARAMS, "multi_strategy": "multi_output_tree"}, xgboost.DMatrix(rows, np.c_[label, 1 - label]), 3
    )
    linear = train(rows, 3, booster="gblinear")
    dart = train(rows, 5, booster="dart", rate_drop=0.5)
    for booster, word in ((categorical, "categorical"), (vectors, "vectors"), (linear, "gblinear"), (dart, "dart")):
        forest = Forest.from_booster(booster, 1)
        forest.warm()
        assert not forest.supported
        assert word in forest.reason
        if booster is linear:
            want = booster.predict(xgboost.DMatrix(rows), output_margin=True)
        else:
            want = booster.inplace_predict(rows, predict_type="margin", validate_features=False)
        assert np.array_equal(forest.margins(rows[0, :1], rows[:, 1:]), want)
        assert np.array_equal(forest.margins_of_rows(rows), want)


def test_load_reads_both_formats_and_names(tmp_path):
    rows = one_user(rows_of(15, 300, 5, 0.1, 0), 2)
    names = ["age", "hour", "clicks", "saves", "visits"]
    booster = xgboost.train(PARAMS, xgboost.DMatrix(rows, rows[:, 3] > 0, feature_names=names, missing=np.nan), 4)
    want = booster.predict(xgboost.DMatrix(rows.copy(), feature_names=names), output_margin=True)
    for name in ("model.ubj", "model.json"):
        booster.save_model(tmp_path / name)
        forest = Forest.load(tmp_path / name, 2)
        assert (forest.feature_names, forest.n_features, forest.n_shared) == (names, 5, 2)
        assert same_bits(forest.margins(rows[0, :2], rows[:, 2:]), want)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ModelError, match=r"broken\.json"):
        Forest.load(tmp_path / "broken.json", 2)


def test_wrong_shapes_say_what_is_wanted():
    forest = Forest.from_booster(train(rows_of(16, 100, 5, 0, 0), 2), 2)
    with pytest.raises(DataError, match=r"wants \(2,\)"):
        forest.specialise(np.zeros(3, np.float32))
    with pytest.raises(DataError, match=r"wants \(n, 3\)"):
        forest.margins(np.zeros(2, np.float32), np.zeros((4, 5), np.float32))
    with pytest.raises(ModelError, match="n_shared is 6"):
        Forest.from_booster(forest.booster, 6)


def test_threads_do_not_disturb_each_other():
    booster = train(rows_of(17, 800, 12, 0.1, 0), 20, max_depth=6)
    forest = Forest.from_booster(booster, 4)
    users = [one_user(rows_of(100 + i, 700 - 97 * i, 12, 0.1, 0), 4) for i in range(6)]
    want = [truth(booster, rows) for rows in users]
    wrong: list[int] = []

    def work(first: int) -> None:
        for turn in range(60):
            i = (first + turn) % len(users)
            if not same_bits(forest.margins(users[i][0, :4], users[i][:, 4:]), want[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
