"""AUC, log loss and calibration error against scikit-learn, pair by pair, and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from training.metrics.probability import auc, expected_calibration_error, log_loss


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60))
def test_auc_with_ties_and_weights_agrees_with_scikit_learn_and_with_all_pairs(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    score, label, weight = rng.integers(0, 9, n).astype(np.float32), rng.integers(0, 2, n), rng.random(n)
    if not 0 < label.sum() < n:
        assert math.isnan(auc(score, label, weight))
        return
    assert auc(score, label, weight) == pytest.approx(roc_auc_score(label, score, sample_weight=weight))
    assert auc(score, label > 0) == pytest.approx(roc_auc_score(label, score))
    pairs = [
        (0.5 * (score[i] == score[j]) + (score[i] > score[j]), weight[i] * weight[j])
        for i in np.flatnonzero(label)
        for j in np.flatnonzero(label == 0)
    ]
    assert auc(score, label, weight) == pytest.approx(sum(w * v for v, w in pairs) / sum(w for _, w in pairs))


def test_auc_of_nothing_is_unknown() -> None:
    assert math.isnan(auc(np.zeros(0), np.zeros(0)))


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60))
def test_log_loss_agrees_with_scikit_learn(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    probability, label, weight = rng.uniform(0.01, 0.99, n), rng.integers(0, 2, n), rng.random(n) + 0.1
    expected = sklearn_log_loss(label, probability, sample_weight=weight, labels=[0, 1])
    assert log_loss(probability, label, weight) == pytest.approx(expected)


def test_log_loss_is_finite_for_certain_mistakes_and_unknown_without_weight() -> None:
    assert log_loss(np.array([0.0]), np.array([1.0])) == pytest.approx(-math.log(1e-7))
    assert math.isnan(log_loss(np.array([0.5]), np.array([1.0]), np.array([0.0])))


def test_calibration_error_of_known_gaps() -> None:
    assert expected_calibration_error(np.full(10, 0.3), np.array([1, 0] * 5), bins=1) == pytest.approx(0.2)
    assert math.isnan(expected_calibration_error(np.zeros(0), np.zeros(0)))


def test_calibration_bins_hold_equal_weight() -> None:
    """Two bins: the lower half predicts 0.1 and sees none, the upper predicts 0.6 and sees all."""
    probability, label = np.repeat([0.1, 0.6], 10), np.repeat([0.0, 1.0], 10)
    assert expected_calibration_error(probability, label, bins=2) == pytest.approx((0.1 + 0.4) / 2)
    heavy = np.repeat([1.0, 3.0], 10)
    assert expected_calibration_error(probability, label, heavy, bins=2) == pytest.approx(
        abs(10 * 0.1 - 10 * 0.4 + 0.0) / 40 + 20 * 0.4 / 40
    )
