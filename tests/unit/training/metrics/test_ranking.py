"""NDCG and recall against scikit-learn, and against twins that follow the textbook row by row."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from training.metrics.ranking import dcg, mean_ndcg, ndcg, ndcg_by_request, order_by, recall


def slow_ndcg(ranked: Sequence[float], ideal: Sequence[float], k: int) -> float:
    """Gain by gain, as the textbook has it; negative gains count as 0."""

    def total(gains: Sequence[float]) -> float:
        return sum(max(gain, 0.0) / math.log2(rank + 2) for rank, gain in enumerate(list(gains)[:k]))

    best = total(sorted(ideal, reverse=True))
    return total(ranked) / best if best > 0 else math.nan


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), k=st.integers(1, 30))
def test_ndcg_agrees_with_scikit_learn(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    score, gain = rng.permutation(n).astype(np.float32), rng.integers(0, 3, n).astype(float)
    found = ndcg(gain[order_by(score)], k)
    assert found == pytest.approx(ndcg_score([gain], [score], k=k) if gain.any() else math.nan, nan_ok=True)


@given(seed=st.integers(0, 10_000), n=st.integers(0, 30), k=st.integers(1, 30))
def test_ndcg_of_a_request_with_negative_gains_and_ties_agrees_with_the_slow_one(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    score, gain = rng.integers(0, 4, n).astype(np.float32), rng.integers(-2, 4, n).astype(np.float32)
    ranked = sorted(range(n), key=lambda row: -score[row])  # a stable sort: ties stay in the walk's order
    slow = slow_ndcg([gain[row] for row in ranked], gain.tolist(), k)
    assert ndcg(gain[order_by(score)], k) == pytest.approx(slow, nan_ok=True)


@given(seed=st.integers(0, 10_000), n=st.integers(0, 80), k=st.integers(1, 12))
def test_many_requests_at_once_are_each_request_alone(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    request = rng.integers(0, 6, n)  # in any order, and some requests have no row
    score, gain = rng.integers(0, 5, n).astype(float), rng.integers(-1, 3, n).astype(float)
    score[rng.random(n) < 0.1] = np.nan
    alone = [ndcg(gain[request == r][order_by(score[request == r])], k) for r in range(request.max(initial=-1) + 1)]
    np.testing.assert_allclose(ndcg_by_request(score, gain, request, k), alone, rtol=1e-12)
    known = [value for value in alone if not math.isnan(value)]
    mean = np.mean(known) if known else math.nan
    assert mean_ndcg(score, gain, request, k) == pytest.approx(mean, nan_ok=True)


@given(seed=st.integers(0, 10_000), n=st.integers(0, 30), missed=st.integers(0, 5), k=st.integers(1, 30))
def test_an_answer_is_held_against_all_that_was_wanted(seed: int, n: int, missed: int, k: int) -> None:
    """Binary gains; the ideal is cut at min(k, wanted), and what could not be answered stays in the denominators."""
    hit = np.random.default_rng(seed).random(n) < 0.3
    wanted = int(hit.sum()) + missed
    if not wanted:
        assert math.isnan(ndcg(hit, k, np.ones(0)))
        assert math.isnan(recall(hit, k, 0))
        return
    gains = [1 / math.log2(rank + 2) for rank in range(k)]
    slow = sum(gain for gain, found in zip(gains, hit, strict=False) if found) / sum(gains[: min(k, wanted)])
    assert ndcg(hit, k, np.ones(wanted)) == pytest.approx(slow)
    assert recall(hit, k, wanted) == pytest.approx(sum(hit[:k]) / wanted)


def test_an_order_keeps_ties_and_puts_nan_last() -> None:
    score = np.array([1.0, 3.0, np.nan, 3.0])
    assert order_by(score).tolist() == [1, 3, 0, 2]
    assert recall(np.array([True, False, False, True])[order_by(score)], 2) == 0.5
    assert math.isnan(recall(np.zeros(4, bool), 2))


def test_dcg_by_hand() -> None:
    assert dcg(np.array([3.0, -1.0, 2.0, 9.0]), 3) == pytest.approx(3.0 + 2.0 / 2.0)
    assert dcg(np.array([]), 3) == 0.0
