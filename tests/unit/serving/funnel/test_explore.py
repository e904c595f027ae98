"""Exploration keeps the answer's size, loses nothing twice and draws from behind the answer only."""

import numpy as np
import pytest
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


@given(
    st.integers(1, 40), st.integers(1, 20), st.integers(0, 6), st.integers(0, 30), st.floats(0, 1), st.integers(0, 99)
)
def test_dropped_pins_take_slots_of_the_same_answer(
    n: int, size: int, slots: int, dropped: int, share: float, seed: int
) -> None:
    pool = np.arange(1000, 1000 + dropped)
    found, plain = explore(np.arange(n), size, slots, seed, pool, share), explore(np.arange(n), size, slots, seed)
    assert len(found.shown) == len(plain.shown) == len(set(found.shown.tolist()))
    assert found.drawn.sum() == plain.drawn.sum()
    beyond = found.shown >= 1000
    assert not (beyond & ~found.drawn).any()
    assert beyond.sum() <= np.ceil(found.drawn.sum() * share + 1e-9)
    assert found.shown[~found.drawn].tolist() == plain.shown[~plain.drawn].tolist()
    if not beyond.any() and not found.dropped_rate:
        assert found.rate == plain.rate


@pytest.mark.parametrize(("share", "dropped"), [(0.25, 60), (0.5, 60), (1.0, 60), (0.5, 1)])
def test_both_rates_are_how_often_pins_are_drawn(share: float, dropped: int) -> None:
    order, pool = np.arange(40), np.arange(40, 40 + dropped)
    found = [explore(order, 10, 3, seed, pool, share) for seed in range(6000)]
    times = np.bincount(np.concatenate([one.shown[one.drawn] for one in found]), minlength=40 + dropped) / len(found)
    assert times[:7].max() == 0
    assert {(one.rate, one.dropped_rate) for one in found} == {(found[0].rate, found[0].dropped_rate)}
    np.testing.assert_allclose(times[7:40], found[0].rate, atol=0.025)
    np.testing.assert_allclose(times[40:], found[0].dropped_rate, atol=0.025)
    assert found[0].rate * 33 + found[0].dropped_rate * dropped == pytest.approx(3)
    if dropped > 3:
        assert found[0].dropped_rate * dropped == pytest.approx(3 * share)
