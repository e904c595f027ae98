"""Interleaving: users' credits, with an interval that holds, against a bootstrap of users."""

import numpy as np
import pytest

from training.experiments.confidence import Confidence
from training.experiments.preference import preference
from training.experiments.unit_moments import UnitMoments


def credits(rng: np.random.Generator, n: int, better: float = 0.0) -> np.ndarray:
    rate = rng.lognormal(-0.5, 1.0, n)
    return np.stack([rng.poisson(rate), rng.poisson(rate * (1 + better))], axis=1).astype(float)


def test_equal_orders_are_told_apart_as_rarely_as_said() -> None:
    rng = np.random.default_rng(0)
    signs = [preference(UnitMoments.of(credits(rng, 400)), 0, 1, Confidence()).lift.sign for _ in range(800)]
    assert np.mean(np.abs(signs)) == pytest.approx(0.05, abs=0.025)


def test_the_interval_is_what_resampled_users_say() -> None:
    rng = np.random.default_rng(1)
    rows = credits(rng, 1_000, 0.3)
    found = preference(UnitMoments.of(rows), 0, 1, Confidence())
    drawn = []
    for _ in range(1_000):
        sums = rows[rng.integers(0, len(rows), len(rows))].sum(axis=0)
        drawn.append(sums[1] / sums.sum())
    assert found.share == pytest.approx(rows[:, 1].sum() / rows.sum())
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.006)
    assert found.lift.lift == pytest.approx(rows[:, 1].sum() / rows[:, 0].sum() - 1)
    assert found.lift.sign == 1


def test_too_little_gives_no_interval() -> None:
    assert not preference(UnitMoments.of(np.array([[1.0, 0.0]] * 30)), 0, 1, Confidence()).lift.known
    assert preference(UnitMoments.none(2), 0, 1, Confidence()).to_dict()["share"] is None
