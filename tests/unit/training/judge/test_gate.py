"""The gate's decisions, from figures alone."""

import pytest

from training.judge.gate import Gate, decide
from training.metrics.intervals import Interval


@pytest.mark.parametrize(
    ("difference", "publish", "why"),
    [
        (Interval(0.1, 0.05, 0.15, 50), True, "published"),
        (Interval(-0.005, -0.02, 0.01, 50), True, "published"),  # not shown to be worse
        (Interval(-0.01, -0.015, -0.005, 50), False, "worse"),  # surely a little worse
        (Interval(-0.05, -0.2, 0.1, 50), False, "worse"),  # unsure, but too much
        (Interval(0.5, 0.4, 0.6, 3), False, "only 3"),
    ],
)
def test_the_gate_compares_with_the_incumbent(difference: Interval, publish: bool, why: str) -> None:
    decision = decide(difference, "visit count", finite=True, constant=False)
    assert decision.publish is publish
    assert why in decision.reason


def test_the_gate_refuses_broken_models() -> None:
    good = Interval(0.1, 0.05, 0.15, 50)
    assert "finite" in decide(good, "x", finite=False, constant=False).reason
    assert "same score" in decide(good, "x", finite=True, constant=True).reason
    assert decide(Interval(0.1, 0.05, 0.15, 3), "x", True, False, Gate(min_requests=3)).publish
