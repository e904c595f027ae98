"""Intervals against what they are derived from: Student's t, and a mixture of martingales, integrated by number."""

import numpy as np
import pytest
from scipy import integrate, stats

from training.experiments.confidence import Confidence, prior


def test_a_fixed_horizon_is_students() -> None:
    assert Confidence("fixed", 0.05).reach(0.3, 12) == pytest.approx(stats.t.ppf(0.975, 12))
    assert Confidence("fixed", 0.01).reach(0.3) == pytest.approx(stats.norm.ppf(0.995))


@pytest.mark.parametrize("error", [0.01, 0.04, 0.16])
def test_an_always_valid_interval_ends_where_the_mixture_martingale_is_unlikely(error: float) -> None:
    """Ville: a martingale of mean 1 is above 1 / alpha at any time with chance alpha at most."""
    alpha = 0.05
    spread = np.sqrt(prior(alpha)) * 0.04  # of the mixture, in units of the sum's slope
    information = 1 / error**2
    total = Confidence("sequential", alpha).reach(error) * np.sqrt(information)  # a sum whose variance is information

    def of_slope(slope: float) -> float:
        return float(np.exp(slope * total - slope**2 * information / 2) * stats.norm.pdf(slope, 0, spread))

    middle = total / (information + 1 / spread**2)
    width = 12 / np.sqrt(information + 1 / spread**2)
    mixed, _ = integrate.quad(of_slope, middle - width, middle + width)
    assert mixed == pytest.approx(1 / alpha, rel=1e-6)


def test_it_is_narrowest_where_it_was_made_for() -> None:
    made = [Confidence("sequential", tightest=t).reach(0.02) for t in (0.005, 0.01, 0.02, 0.04, 0.08)]
    assert min(made) == made[2]
    quarter, twice, four = (Confidence("sequential").reach(0.04 * of) / made[2] for of in (0.25, 2, 4))
    assert (round(quarter, 2), round(twice, 2), round(four, 2)) == (1.09, 1.06, 1.40)


def test_several_comparisons_share_the_error() -> None:
    assert Confidence("fixed", 0.05).shared(2).reach(1.0) == pytest.approx(stats.norm.ppf(1 - 0.025 / 2))


def test_no_error_no_interval() -> None:
    assert np.isnan(Confidence().reach(0.0))
    assert np.isnan(Confidence("sequential").reach(float("nan")))
