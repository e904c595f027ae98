"""Shares of arms against the binomial distribution, and how often a sound experiment is stopped."""

import numpy as np
import pytest
from scipy import stats

from training.experiments.sample_ratio import BROKEN, sample_ratio

WEIGHTS = {"control": 1.0, "treatment": 1.0}


def test_two_arms_are_the_normal_approximation_of_a_binomial() -> None:
    found = sample_ratio({"control": 5_200, "treatment": 4_800}, WEIGHTS)
    z = (5_200 - 5_000) / np.sqrt(10_000 / 4)
    assert found.p == pytest.approx(2 * stats.norm.sf(z))
    assert found.failed
    assert found.expected == {"control": 5_000, "treatment": 5_000}


def test_weights_need_not_be_alike() -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 7.0}
    assert sample_ratio({"a": 100, "b": 200, "c": 700}, weights).p == 1.0
    assert sample_ratio({"a": 333, "b": 333, "c": 334}, weights).failed


def test_sound_arms_are_stopped_as_rarely_as_said() -> None:
    rng = np.random.default_rng(0)
    seen = rng.binomial(2_000, 0.5, 4_000)
    p = np.array([sample_ratio({"control": n, "treatment": 2_000 - n}, WEIGHTS).p for n in seen.tolist()])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(p < BROKEN) <= 0.003


def test_nothing_seen_is_not_broken() -> None:
    assert not sample_ratio({"control": 0, "treatment": 0}, WEIGHTS).failed
    assert not sample_ratio({}, {}).failed
