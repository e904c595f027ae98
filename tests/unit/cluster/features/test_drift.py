"""Histograms of features and PSI between two, against slow obvious versions and values worked out by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.features.drift import BINS, REQUEST_ROWS, SMALLEST_SHARE, FeatureHistograms, psi, rows_to_count

VALUES = st.one_of(st.just(math.nan), st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, width=32))


def slow_bins(edges: list[float], values: list[float]) -> list[int]:
    counts = [0] * (BINS + 1)
    for value in values:
        if math.isnan(value):
            counts[BINS] += 1
        else:
            counts[sum(1 for edge in edges if edge <= value)] += 1
    return counts


def slow_psi(then: list[int], now: list[int]) -> float:
    total = 0.0
    for e, a in zip(then, now, strict=True):
        e_share = max(e / sum(then), SMALLEST_SHARE)
        a_share = max(a / sum(now), SMALLEST_SHARE)
        total += (a_share - e_share) * math.log(a_share / e_share)
    return total


def histograms(values: list[float]) -> FeatureHistograms:
    return FeatureHistograms.of(["x"], np.array(values, np.float32)[:, None])


@given(st.lists(VALUES, min_size=1, max_size=60), st.lists(VALUES, min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_bins_and_psi_are_those_of_the_slow_version(then: list[float], now: list[float]) -> None:
    made = histograms(then)
    edges = made.edges[0].tolist()
    assert edges == sorted(edges)
    assert made.counts[0].tolist() == slow_bins(edges, np.array(then, np.float32).tolist())
    counts = made.binned(np.array(now, np.float32)[:, None])
    assert counts[0].tolist() == slow_bins(edges, np.array(now, np.float32).tolist())
    assert psi(made.counts, counts)[0] == pytest.approx(slow_psi(made.counts[0].tolist(), counts[0].tolist()))
    again = FeatureHistograms.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False)))
    assert (again.edges == made.edges).all()
    assert (again.counts == made.counts).all()


def test_psi_has_the_values_that_one_works_out_by_hand() -> None:
    then = np.array([[50, 50], [90, 10]])
    now = np.array([[80, 20], [90, 10]])
    # (.8 - .5) ln(.8 / .5) + (.2 - .5) ln(.2 / .5) = .141 + .275
    assert psi(then, now).tolist() == pytest.approx([0.41589, 0.0], abs=1e-5)
    # a bin that nothing is in any more counts as one in ten thousand, not as infinitely far
    assert psi(np.array([[50, 50]]), np.array([[100, 0]]))[0] == pytest.approx(
        0.5 * math.log(2) + (1e-4 - 0.5) * math.log(1e-4 / 0.5)
    )


def test_training_fills_ten_bins_alike() -> None:
    values = np.random.default_rng(0).permutation(10_000).astype(np.float32)
    assert histograms(values.tolist()).counts[0].tolist() == [999, *[1000] * 8, 1001, 0]


@pytest.mark.parametrize("moved", [6.9, 7.1, math.nan])
def test_a_value_that_never_changed_is_seen_to_change(moved: float) -> None:
    made = histograms([7.0] * 1000)
    assert psi(made.counts, made.binned(np.full((50, 1), 7.0, np.float32)))[0] == 0
    assert psi(made.counts, made.binned(np.full((50, 1), moved, np.float32)))[0] > 1


def test_a_feature_that_was_never_there_is_seen_to_come() -> None:
    made = histograms([math.nan] * 1000)
    assert psi(made.counts, made.binned(np.full((50, 1), math.nan, np.float32)))[0] == 0
    assert psi(made.counts, made.binned(np.full((50, 1), 3.0, np.float32)))[0] > 1


def test_many_rows_are_counted_in_pieces() -> None:
    matrix = np.random.default_rng(1).normal(size=(9001, 3)).astype(np.float32)
    made = FeatureHistograms.of(["a", "b", "c"], matrix)
    parts = sum(made.binned(matrix[at : at + 1000]) for at in range(0, 9001, 1000))
    assert (made.counts == parts).all()
    assert made.counts.sum(axis=1).tolist() == [9001] * 3


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 2000])
def test_some_candidates_of_all_ranks_are_counted(n: int) -> None:
    rows = np.arange(n)[rows_to_count(n)]
    assert min(n, REQUEST_ROWS // 2) <= len(rows) <= REQUEST_ROWS
    assert n == 0 or rows[-1] >= n - 1 - n / len(rows)
