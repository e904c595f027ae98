"""Two ways to spend candidates at the same cost: points between, and what the one keeps more."""

import numpy as np
import pytest

from tests.unit.training.quotas.test_learned import BUDGET, two_kinds
from training.quotas.equal_cost import at_cost_of_static, gain_over, kept_at
from training.quotas.seen import Allotted


def _point(kept: float, cost: float) -> Allotted:
    return Allotted(np.full(2, kept), np.full(2, 10.0), np.full(2, cost))


@pytest.mark.parametrize(("cost", "kept"), [(50, 2.0), (100, 4.0), (150, 5.0), (200, 6.0), (900, 6.0)])
def test_between_two_points_a_share_of_the_requests_has_the_dearer_one(cost: float, kept: float) -> None:
    curve = [_point(6.0, 200.0), _point(4.0, 100.0)]
    assert kept_at(curve, cost).tolist() == [kept, kept]


def test_a_gain_is_a_share_of_what_the_other_keeps_with_an_interval_over_requests() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.poisson(5.0, 400).astype(float)
    gain = gain_over(1.1 * theirs, theirs)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1))
    noise = gain_over(theirs + rng.normal(0.0, 2.0, 400), theirs)
    assert noise.low < noise.mean < noise.high
    assert noise.high - noise.low == pytest.approx(2 * 1.96 * 2.0 / 20 / 5.0, rel=0.2)


def test_where_users_want_another_source_each_more_is_found_at_equal_cost() -> None:
    both = at_cost_of_static(two_kinds(4), BUDGET, 0.5)
    assert both.gain.low > 0.3
    assert both.learned > both.static
    assert both.gain.n == 400


def test_where_all_want_the_same_nothing_is_gained_or_lost() -> None:
    seen = two_kinds(4)
    one = type(seen)(seen.sources, seen.request, seen.rank, seen.wanted, seen.weight, np.zeros_like(seen.known))
    both = at_cost_of_static(one, BUDGET, 0.5)
    assert both.gain.mean == pytest.approx(0.0, abs=0.05)
    assert both.gain.low <= 0.0 <= both.gain.high
