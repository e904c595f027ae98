"""The gate's decisions, from figures alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.judge.gate import Gate, chance_of_gain, decide, requests_to_decide
from training.metrics.intervals import Interval, bootstrap


@pytest.mark.parametrize(
    ("difference", "publish", "why"),
    [
        (Interval(0.1, 0.05, 0.15, 50), True, "published"),
        (Interval(-0.005, -0.02, 0.01, 50), True, "published"),  # not shown to be worse
        (Interval(-0.01, -0.015, -0.005, 50), False, "worse than what serves now"),  # surely a little worse
        (Interval(-0.05, -0.2, 0.1, 50), False, "not shown to be as good"),  # unsure, but too much
        (Interval(0.5, 0.4, 0.6, 3), False, "only 3"),
    ],
)
def test_the_gate_compares_with_the_incumbent(difference: Interval, publish: bool, why: str) -> None:
    decision = decide(difference, "visit count", finite=True, constant=False)
    assert decision.publish is publish
    assert why in decision.reason


@pytest.mark.parametrize(
    ("difference", "publish"),
    [
        (Interval(0.0017, -0.0040, 0.0072, 170), False),  # 72 %: as likely to be nothing
        (Interval(0.0040, -0.0040, 0.0120, 170), True),  # 84 %
        (Interval(0.0, -0.01, 0.01, 170), False),
        (Interval(0.0, 0.0, 0.0, 170), False),  # it changes nothing, and costs
        (Interval(0.01, 0.01, 0.01, 170), True),
    ],
)
def test_a_further_stage_must_be_likely_better(difference: Interval, publish: bool) -> None:
    decision = decide(difference, "the order without it", finite=True, constant=False, further=True)
    assert decision.publish is publish
    assert decide(difference, "the order without it", finite=True, constant=False).publish
    if not publish:
        assert "must be better with a probability of 80%" in decision.reason


@given(st.floats(-0.5, 0.5), st.floats(0.001, 1.0))
def test_the_chance_of_gain_is_that_of_the_interval(mean: float, half: float) -> None:
    chance = chance_of_gain(Interval(mean, mean - half, mean + half, 100))
    assert (chance > 0.975) == (mean - half > 1e-12) or abs(mean - half) < 1e-6
    draws = np.random.default_rng(0).normal(mean, half / 1.959964, 20_000)
    assert chance == pytest.approx((draws > 0).mean(), abs=0.02)


def test_a_refusal_says_what_is_known_and_what_would_decide() -> None:
    unsure = decide(Interval(-0.025, -0.0658, 0.0096, 37), "incumbent x", finite=True, constant=False).reason
    assert "worse" not in unsure
    assert "NDCG -0.0250 [-0.0658, +0.0096] against incumbent x on 37 held-out requests" in unsure
    assert unsure.endswith("about 48 more would decide it")  # 37 · (.0377 / .025)² = 84.1
    crossed = decide(Interval(-0.025, -0.0658, 0.0096, 37), "x", finite=True, constant=False, crossed=True).reason
    assert "on 37 held-out requests, most of them by cross-validation; about 48" in crossed
    flattered = decide(Interval(-0.025, -0.0658, 0.0096, 37), "x", finite=True, constant=False, flattered=True)
    assert flattered.publish, "a log that the replaced order has made does not show it to be worse"
    worse = Interval(-0.03, -0.05, -0.01, 37)
    assert not decide(worse, "x", finite=True, constant=False, flattered=True).publish
    sure = decide(Interval(-0.03, -0.05, -0.01, 37), "incumbent x", finite=True, constant=False).reason
    assert "would decide" not in sure


def test_so_many_more_requests_do_decide() -> None:
    rng = np.random.default_rng(0)
    few = rng.normal(size=60)
    few = 0.5 * few / few.std()
    few += -0.05 - few.mean()
    found = bootstrap(few)
    assert found.low < 0 < found.high
    n = found.n + requests_to_decide(found)
    again = rng.normal(size=n)
    decided = bootstrap(0.5 * again / again.std() - 0.05 - 0.5 * again.mean() / again.std())
    assert decided.high == pytest.approx(0.0, abs=0.006)  # just there


@given(st.floats(-0.5, -0.001), st.floats(0.0, 1.0), st.integers(1, 100_000))
def test_the_number_is_the_wanted_narrowing_squared(mean: float, half: float, n: int) -> None:
    more = requests_to_decide(Interval(mean, mean - half, mean + half, n))
    exact = n * (half / -mean) ** 2 - n
    assert more >= 1
    assert more >= exact * (1 - 1e-9)
    assert more <= max(1.1 * exact + 1, 1)  # two digits, rounded up
    assert len(str(more).rstrip("0")) <= 2 or more < 100


def test_requests_that_cannot_tell_orders_apart_decide_nothing() -> None:
    nothing = Interval(float("nan"), float("nan"), float("nan"), 0)
    reason = decide(nothing, "visit count", finite=True, constant=False, alike=289).reason
    assert reason.startswith("refused: the held-out requests cannot tell orders apart")
    assert "of 289 with an action, 289 have one on every candidate" in reason
    assert "let the log grow" in reason
    few = Interval(0.1, 0.05, 0.15, 4)
    assert "of 20 with an action, 16 have one" in decide(few, "x", True, False, alike=16).reason
    assert decide(few, "x", True, False, Gate(min_requests=4), alike=16).publish  # those that can do decide


def test_the_gate_refuses_broken_models() -> None:
    good = Interval(0.1, 0.05, 0.15, 50)
    assert "finite" in decide(good, "x", finite=False, constant=False).reason
    assert "same score" in decide(good, "x", finite=True, constant=True).reason
    assert decide(Interval(0.1, 0.05, 0.15, 3), "x", True, False, Gate(min_requests=3)).publish
