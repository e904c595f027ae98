"""Lifts against slow, obvious ones: a bootstrap of users, least squares for CUPED, the truth of many simulations."""

from typing import Any

import numpy as np
import pytest

from training.experiments.confidence import Confidence
from training.experiments.lifts import Lift, UnitRatio, adjustments, figure_of, lift_of
from training.experiments.unit_moments import UnitMoments

PER_USER = UnitRatio("saves per user", 0)
PER_PIN = UnitRatio("saves per pin", 0, 1)
PAST = (2, 3)


def users(rng: np.random.Generator, n: int, effect: float = 0.0) -> np.ndarray:
    """float[n, 4]: saves, pins shown, and two columns of the past, of users some of whom do very much."""
    rate = rng.lognormal(-1.0, 1.2, n)
    shown = 25.0 * (1 + rng.poisson(3 * rate / (1 + rate)))
    saves = rng.poisson(shown * np.minimum(0.05 * rate * (1 + effect), 1.0))
    return np.stack([saves, shown, rng.poisson(8 * rate), rng.poisson(rate)], axis=1).astype(float)


def test_moments_are_those_of_the_rows_in_any_parts() -> None:
    rows = users(np.random.default_rng(0), 500)
    whole = UnitMoments.added([UnitMoments.of(part) for part in np.array_split(rows, 7)], 4)
    assert whole.n == 500
    np.testing.assert_allclose(whole.mean, rows.mean(axis=0))
    np.testing.assert_allclose(whole.covariance, np.cov(rows.T))


@pytest.mark.parametrize("figure", [PER_USER, PER_PIN])
def test_the_delta_method_is_what_resampled_users_say(figure: UnitRatio) -> None:
    rng = np.random.default_rng(1)
    arms = users(rng, 3000), users(rng, 3000, 0.1)
    found = lift_of(*map(UnitMoments.of, arms), figure, Confidence())  # type: ignore[arg-type]
    drawn = []
    for _ in range(1500):
        control, treatment = (rows[rng.integers(0, len(rows), len(rows))] for rows in arms)
        drawn.append(_plain(treatment, figure) / _plain(control, figure) - 1)
    assert found.lift == pytest.approx(_plain(arms[1], figure) / _plain(arms[0], figure) - 1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.12 * (high - low))


def _plain(rows: np.ndarray, figure: UnitRatio) -> float:
    return float(rows[:, 0].sum() / (len(rows) if figure.bottom is None else rows[:, 1].sum()))


def test_cuped_is_regression_on_the_past() -> None:
    """An independent way: residuals of least squares on the linearised units, arms taken out of both sides."""
    rng = np.random.default_rng(2)
    arms = users(rng, 400), users(rng, 600, 0.2)
    for figure in (PER_USER, PER_PIN):
        moments = [UnitMoments.of(rows) for rows in arms]
        units = []
        past = []
        for rows in arms:
            mean = rows.mean(axis=0)
            z = rows[:, 0] if figure.bottom is None else (rows[:, 0] - mean[0] / mean[1] * rows[:, 1]) / mean[1]
            units.append(z - z.mean())
            past.append(rows[:, 2:] - rows[:, 2:].mean(axis=0))
        weight, *_ = np.linalg.lstsq(np.concatenate(past), np.concatenate(units), rcond=None)
        everybody = np.concatenate(arms)[:, 2:].mean(axis=0)
        for (moment, shift), rows, z, x in zip(adjustments(moments, figure, PAST), arms, units, past, strict=True):
            found = figure_of(moment, figure, shift)
            assert found.value == pytest.approx(_plain(rows, figure) - weight @ (rows[:, 2:].mean(axis=0) - everybody))
            assert found.variance == pytest.approx(np.var(z - x @ weight, ddof=1) / len(rows))


def test_a_past_that_says_nothing_or_the_same_twice_does_no_harm() -> None:
    rng = np.random.default_rng(3)
    arms = [np.insert(users(rng, 500), 4, 1.0, axis=1) for _ in range(2)]
    arms = [np.concatenate([rows, rows[:, 2:3]], axis=1) for rows in arms]
    control, treatment = map(UnitMoments.of, arms)
    one = lift_of(control, treatment, PER_USER, Confidence(), (2,))
    twice = lift_of(control, treatment, PER_USER, Confidence(), (2, 4, 5))
    assert one.explained > 0.3
    assert twice.to_dict() == pytest.approx(one.to_dict())


def many(effect: float, runs: int, n: int, **options: Any) -> list[Lift]:
    rng = np.random.default_rng(4)
    covariates = options.get("covariates", ())
    out = []
    for _ in range(runs):
        arms = users(rng, n), users(rng, n, effect)
        out.append(lift_of(*map(UnitMoments.of, arms), options["figure"], Confidence(), covariates))  # type: ignore[arg-type]
    return out


@pytest.mark.parametrize("figure", [PER_USER, PER_PIN])
@pytest.mark.parametrize("covariates", [(), PAST])
def test_intervals_hold_the_truth_as_often_as_they_say(figure: UnitRatio, covariates: tuple[int, ...]) -> None:
    found = many(0.2, 600, 800, figure=figure, covariates=covariates)
    held = np.mean([one.low <= 0.2 <= one.high for one in found])
    assert 0.925 <= held <= 0.975
    assert np.mean([one.lift for one in found]) == pytest.approx(0.2, abs=0.02)


def test_cuped_finds_more() -> None:
    plain, cuped = (many(0.1, 100, 800, figure=PER_PIN, covariates=past) for past in ((), PAST))
    assert np.mean([one.sign for one in cuped]) > np.mean([one.sign for one in plain]) + 0.1
    assert np.mean([one.error for one in cuped]) < np.mean([one.error for one in plain])


def test_too_little_gives_no_interval() -> None:
    few = UnitMoments.of(np.tile([2.0, 25.0], (9, 1)))
    many_units = UnitMoments.of(np.tile([2.0, 25.0], (90, 1)))
    assert not lift_of(few, many_units, PER_USER, Confidence()).known
    rare = UnitMoments.of(np.eye(200, 2))
    assert not lift_of(rare, rare, PER_USER, Confidence()).known
    assert lift_of(few, many_units, PER_USER, Confidence()).to_dict()["low"] is None


def test_what_never_happened_in_one_arm_is_told_by_the_difference() -> None:
    rng = np.random.default_rng(5)
    nothing = np.stack([np.zeros(500), np.full(500, 25.0)], axis=1)
    much = np.stack([rng.poisson(0.5, 500), np.full(500, 25.0)], axis=1)
    arms = UnitMoments.of(nothing), UnitMoments.of(much)
    for kind in ("fixed", "sequential"):
        sure = Confidence(kind)  # type: ignore[arg-type]
        assert [lift_of(*pair, PER_USER, sure).sign for pair in (arms, arms[::-1])] == [1, -1]  # type: ignore[arg-type]
        assert not lift_of(*arms, PER_USER, sure).known
