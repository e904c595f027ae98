"""What a request wants beside others: a regression that finds the power it was drawn with, and stays calm on little."""

import numpy as np
import pytest

from training.quotas.demand import FAR, SourceDemand, known_of


def test_a_power_of_the_actions_is_found_again() -> None:
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 300, 4_000)
    known = known_of(rng.integers(0, 30, 4_000), actions)
    expected = 0.2 * (1.0 + actions) ** 0.7
    found = np.stack([rng.poisson(expected), rng.poisson(2.0, 4_000)], axis=1)
    demand = SourceDemand.fit(known, found)
    assert demand.weights[0, 1:] == pytest.approx([0.0, 0.7], abs=0.03)
    assert demand.weights[1, 1:] == pytest.approx([0.0, 0.0], abs=0.03)
    assert demand.rates(known)[:, 0] == pytest.approx(expected / expected.mean(), rel=0.1)


def test_few_requests_tell_nobody_apart() -> None:
    known = known_of(np.array([1, 30]), np.array([0, 200]))
    rates = SourceDemand.fit(known, np.array([[0.0], [1.0]])).rates(known)[:, 0]
    assert 0.5 < rates[0] < rates[1] < 1.5


def test_a_source_that_found_nothing_is_wanted_as_much_by_everyone() -> None:
    known = known_of(np.array([1, 30, 5]), np.array([0, 200, 9]))
    assert SourceDemand.fit(known, np.zeros((3, 2))).rates(known).tolist() == [[1.0, 1.0]] * 3
    assert SourceDemand.even(2).rates(known[0]).tolist() == [1.0, 1.0]


def test_requests_that_do_not_differ_leave_the_rate_at_1() -> None:
    known = known_of(np.full(50, 5), np.full(50, 7))
    rates = SourceDemand.fit(known, np.random.default_rng(1).poisson(1.0, (50, 3)).astype(float)).rates(known)
    assert rates == pytest.approx(np.ones((50, 3)))


def test_a_rate_is_bounded_however_far_a_request_lies_outside() -> None:
    demand = SourceDemand(np.array([[0.0, 0.0, 5.0]]))
    assert demand.rates(known_of(0, 10**6)).tolist() == [np.exp(FAR)]
