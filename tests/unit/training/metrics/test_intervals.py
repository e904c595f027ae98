"""Bootstrap intervals against a known distribution, and what may be resampled."""

import numpy as np
import pytest

from training.metrics.intervals import bootstrap, bootstrap_columns, percentiles, ratio, resampled


def test_the_bootstrap_covers_the_mean_and_ignores_nan() -> None:
    values = np.append(np.random.default_rng(1).normal(0.3, 1.0, 400), [np.nan] * 5)
    interval = bootstrap(values)
    assert interval.n == 400
    assert interval.low < 0.3 < interval.high
    half = 1.96 * np.nanstd(values) / 20
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.15)
    both = bootstrap_columns(np.stack([values, values + 1], axis=1))
    assert both[0].low == pytest.approx(interval.low)
    assert both[1].low == pytest.approx(interval.low + 1)
    assert bootstrap(np.array([])).n == 0
    assert bootstrap(np.array([])).to_dict()["mean"] is None


def test_weighted_requests_count_as_if_there_were_more_of_them() -> None:
    values = np.array([0.2, np.nan, -0.1, 0.4])
    weighted = bootstrap(values, np.array([2.0, 5.0, 1.0, 1.0]))
    assert weighted.n == 3
    assert weighted.mean == pytest.approx((2 * 0.2 - 0.1 + 0.4) / 4)
    assert weighted.low < weighted.mean < weighted.high
    equal, plain = bootstrap(values, np.full(4, 7.0)), bootstrap(values)
    assert [equal.mean, equal.low, equal.high] == pytest.approx([plain.mean, plain.low, plain.high])


def test_rows_of_one_user_are_drawn_together() -> None:
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(40), 25)
    values = rng.normal(size=40)[user] + 0.1 * rng.normal(size=1000)  # a user's answers are alike
    by_row, by_user = bootstrap(values), bootstrap(values, unit=user)
    assert by_user.mean == pytest.approx(by_row.mean)
    assert by_user.n == by_row.n == 1000
    wider = (by_user.high - by_user.low) / (by_row.high - by_row.low)
    assert wider == pytest.approx(5.0, rel=0.3)  # √25: a user's 25 rows say as much as one
    alone = bootstrap(values, unit=np.arange(1000))
    assert (alone.low, alone.high) == pytest.approx((by_row.low, by_row.high))


def test_resamples_draw_each_unit_once_on_average() -> None:
    exact, loose = (resampled(50, 2000, 3, scheme) for scheme in ("multinomial", "poisson"))
    assert (exact.sum(axis=1) == 50).all()
    assert loose.sum(axis=1).std() == pytest.approx(50**0.5, rel=0.1)
    for counts in (exact, loose):
        assert counts.mean() == pytest.approx(1.0, abs=0.01)


def test_a_ratio_of_nothing_is_unknown() -> None:
    counts = np.array([[1.0, 2.0], [1.0, 0.0]])
    found = ratio(counts, np.array([[1.0], [3.0]]), np.array([[0.0], [2.0]]))
    assert found[0, 0] == pytest.approx((1 + 6) / 4)
    assert np.isnan(found[1, 0])


def test_percentiles_hold_the_middle() -> None:
    assert percentiles(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))
    assert np.isnan(percentiles(np.zeros(0))).all()
