"""The path from pins to the best k: stored bytes, dynamic columns, ties. No Ray."""

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.bench.forest.bound import BoundForest
from cluster.errors import DataError
from serving.forest.bins import plan_bins
from serving.forest.forest import Forest
from serving.forest.top import top_k
from tests.unit.serving.forest.test_forest import USABLE, rows_of, same_bits, train, truth


@pytest.mark.parametrize("static_columns", [[0, 1, 2, 3, 4, 5, 6], [6, 2, 9], [], list(range(10))])
@pytest.mark.parametrize("n", [1, 20, 700])
def test_bound_scores_are_those_of_whole_rows(static_columns, n):
    booster = train(rows_of(1, 900, 14, 0.1, 0), 10, max_depth=6)
    shared = rows_of(2, 1, 14, 0.2, 0)[0, :4]
    static = rows_of(3, 5000, len(static_columns), 0.1, 0)
    dynamic_columns = [c for c in range(10) if c not in static_columns]
    dynamic = rows_of(4, n, len(dynamic_columns), 0.1, 0)
    pins = np.random.default_rng(5).integers(0, 5000, n).astype(np.int32)
    rows = np.empty((n, 14), np.float32)
    rows[:, :4] = shared
    rows[:, [4 + c for c in static_columns]] = static[pins]
    rows[:, [4 + c for c in dynamic_columns]] = dynamic
    want = truth(booster, rows)
    for level in USABLE:
        bound = BoundForest(Forest.from_booster(booster, 4, level), static, static_columns)
        assert same_bits(bound.score(shared, pins, dynamic), want)
        index, margin = bound.top(shared, pins, dynamic, 50)
        best = np.argsort(-want, kind="stable")[:50]
        assert np.array_equal(index, best)
        assert same_bits(margin, want[best])


def test_bound_refused_model_and_wrong_input():
    rows = rows_of(6, 200, 6, 0, 0)
    forest = Forest.from_booster(train(rows, 3, booster="gblinear"), 2)
    bound = BoundForest(forest, rows[:, 2:4], [0, 1])
    pins = np.arange(9, dtype=np.int32)
    same = rows[:9].copy()
    same[:, :2] = rows[0, :2]
    assert np.array_equal(bound.score(rows[0, :2], pins, rows[:9, 4:]), forest.margins(rows[0, :2], same[:, 2:]))
    for pin in (-1, 200):
        with pytest.raises(DataError, match="unknown ids"):
            bound.score(rows[0, :2], np.array([pin], np.int32), rows[:1, 4:])
    with pytest.raises(DataError, match="static_columns"):
        BoundForest(forest, rows[:, 2:4], [0, 4])
    with pytest.raises(DataError, match="wanted"):
        bound.score(rows[0, :2], pins, rows[:8, 4:])


@settings(deadline=None)
@given(
    scores=st.lists(
        st.one_of(st.sampled_from([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf]), st.floats(width=32, allow_nan=False)),
        max_size=300,
    ),
    k=st.integers(0, 320),
)
def test_top_k_is_a_stable_sort(scores, k):
    margins = np.asarray(scores, np.float32)
    index, best = top_k(margins, k)
    want = np.argsort(-margins, kind="stable")[:k]
    assert index.dtype == np.int32
    assert np.array_equal(index, want)
    assert np.array_equal(best, margins[want])


@pytest.mark.parametrize("level", USABLE)
def test_bins_are_the_plain_definition(level):
    """Search trees of every depth, values on, between and beyond the thresholds, both missing sides."""
    from serving.forest.bins import Column
    from serving.forest.engine.buffers import Layout
    from serving.forest.engine.kernel import fill_table
    from serving.forest.llvm.native import native

    rng = np.random.default_rng(0)
    columns = [
        Column(
            k % 5, np.sort(rng.choice(np.arange(-400, 400), count, replace=False)).astype(np.float32) / 8, bool(k % 2)
        )
        for k, count in enumerate([0, 1, 2, 7, 15, 16, 30, 31, 32, 63, 64, 100, 127, 128, 200, 254, 255])
    ]
    rows = (rng.integers(-450, 450, (777, 5)) / 8).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    rows[0], rows[1] = np.inf, -np.inf
    table = np.zeros((len(rows), len(columns)), np.int8)
    layout = Layout(native(level), np.zeros((0, 0), np.int8), columns, [c.feature for c in columns], 5, 32)
    fill_table(layout, rows, table)
    for k, column in enumerate(columns):
        assert np.array_equal(table[:, k], column.bins(rows[:, column.feature])), k


def test_a_feature_with_both_default_directions_gets_two_columns():
    rows = rows_of(7, 2000, 2, 0.4, 0)
    label = np.where(np.isnan(rows[:, 1]), rows[:, 0] > 0, rows[:, 1] > 0)  # missing is high for some, low for others
    booster = xgboost.train({"nthread": 1, "max_depth": 5}, xgboost.DMatrix(rows, label), 6)
    forest = Forest.from_booster(booster, 0)
    sides = forest.trees.default_left[forest.trees.feature == 1]
    assert sides.any()
    assert not sides.all()
    plan = plan_bins(forest.trees, [1])
    assert {column.missing_right for column in plan.columns} == {False, True}
    assert same_bits(forest.margins(np.empty(0, np.float32), rows), truth(booster, rows))
