"""Exploration keeps the answer's size, loses nothing twice and draws from behind the answer only."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.funnel.explore import explore


@given(st.integers(1, 60), st.integers(1, 30), st.integers(0, 10), st.integers(0, 2**31))
def test_exploring_keeps_size_and_uniqueness(n: int, size: int, slots: int, seed: int) -> None:
    order = np.arange(n)
    found = explore(order, size, slots, seed)
    shown, drawn = found.shown, found.drawn
    assert len(shown) == min(n, size) == len(drawn)
    assert len(set(shown.tolist())) == len(shown)
    assert (np.diff(shown[~drawn]) > 0).all()
    assert 0 in shown, "the best pin is in the answer even where it has fewer slots than are to be drawn"
    assert set(shown[drawn].tolist()) <= set(range(size - drawn.sum(), n))
    assert found.rate == (drawn.sum() / (n - (size - drawn.sum())) if drawn.any() else 0.0)


def test_the_rate_is_how_often_a_pin_is_drawn() -> None:
    order = np.arange(40)
    found = [explore(order, 10, 3, seed) for seed in range(4000)]
    times = np.bincount(np.concatenate([one.shown[one.drawn] for one in found]), minlength=40) / len(found)
    assert times[:7].max() == 0
    np.testing.assert_allclose(times[7:], found[0].rate, atol=0.025)
