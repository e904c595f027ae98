"""Power against textbook numbers and against experiments that were really drawn."""

import numpy as np
import pytest

from tests.unit.training.experiments.test_lifts import PAST, PER_PIN, PER_USER, users
from training.experiments.confidence import Confidence
from training.experiments.lifts import lift_of
from training.experiments.power import chance_of, smallest_effect, units_needed, variation
from training.experiments.unit_moments import UnitMoments


def test_sixteen_over_the_effect_squared() -> None:
    """The rule of thumb of van Belle: 16 sd^2 / difference^2 users an arm for four times in five."""
    assert units_needed(1.0, 0.05, Confidence()) == pytest.approx(
        2 * (1.96 + 0.8416) ** 2 / np.log(1.05) ** 2, rel=0.001
    )
    assert units_needed(2.0, 0.05, Confidence()) == pytest.approx(4 * units_needed(1.0, 0.05, Confidence()), rel=0.001)


@pytest.mark.parametrize("kind", ["fixed", "sequential"])
def test_the_smallest_effect_needs_as_many_units_as_there_are(kind: str) -> None:
    sure = Confidence(kind)  # type: ignore[arg-type]
    effect = smallest_effect(2.5, (4_000, 4_000), sure, 0.9)
    assert units_needed(2.5, effect, sure, 0.9) == pytest.approx(4_000, abs=1)
    assert chance_of(effect, 2.5, (4_000, 4_000), sure).power == pytest.approx(0.9)


def test_always_valid_costs_and_cuped_saves_users() -> None:
    moments = UnitMoments.of(users(np.random.default_rng(0), 4_000))
    plain, less = variation(moments, PER_PIN), variation(moments, PER_PIN, PAST)
    assert less < 0.85 * plain
    fixed, sequential = (units_needed(plain, 0.05, Confidence(kind)) for kind in ("fixed", "sequential"))  # type: ignore[arg-type]
    assert 1.5 * fixed < sequential < 3 * fixed


@pytest.mark.parametrize("covariates", [(), PAST])
def test_a_lift_is_found_as_often_as_promised(covariates: tuple[int, ...]) -> None:
    rng = np.random.default_rng(6)
    n = 1_200
    cv = variation(UnitMoments.of(users(rng, 40_000)), PER_USER, covariates)
    effect = smallest_effect(cv, (n, n), Confidence())
    found = []
    for _ in range(400):
        arms = (UnitMoments.of(users(rng, n, lift)) for lift in (0.0, effect))
        found.append(lift_of(*arms, PER_USER, Confidence(), covariates).sign)  # type: ignore[arg-type]
    assert np.mean(np.array(found) == 1) == pytest.approx(0.8, abs=0.07)


def test_nothing_known_nothing_promised() -> None:
    nobody = UnitMoments.none(4)
    assert np.isnan(variation(nobody, PER_USER))
    assert np.isnan(units_needed(float("nan"), 0.05, Confidence()))
    assert np.isnan(smallest_effect(2.0, (0, 5), Confidence()))
