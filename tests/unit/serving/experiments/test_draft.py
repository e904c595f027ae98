"""Team draft: whose pins stand where, and that neither order has an advantage."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.experiments.draft import team_draft

ORDER = st.lists(st.integers(0, 40), unique=True, max_size=20)


@settings(max_examples=200, deadline=None)
@given(ORDER, ORDER, st.integers(0, 25), st.integers(0, 2**60))
def test_a_draft_takes_the_best_of_both_by_turns(first: list[int], second: list[int], size: int, seed: int) -> None:
    drawn = team_draft(np.array(first, np.int32), np.array(second, np.int32), size, seed)
    shown = drawn.shown.tolist()
    assert len(set(shown)) == len(shown) == min(size, len({*first, *second}))
    taken: set[int] = set()
    for at, (pin, team) in enumerate(zip(shown, drawn.team.tolist(), strict=True)):
        mine = (first, second)[team]
        assert pin == next(one for one in mine if one not in taken)  # its best that was left
        taken.add(pin)
        so_far = drawn.team[: at + 1].tolist()
        if {*first} - taken and {*second} - taken:
            assert abs(so_far.count(0) - so_far.count(1)) <= 1
    again = team_draft(np.array(first, np.int32), np.array(second, np.int32), size, seed)
    assert again.shown.tolist() == shown
    assert again.team.tolist() == drawn.team.tolist()


def test_equal_orders_stay_as_they_are_and_credit_is_even() -> None:
    order = np.arange(10, dtype=np.int32)
    firsts = 0
    for seed in range(2000):
        drawn = team_draft(order, order, 9, seed)
        assert drawn.shown.tolist() == list(range(9))
        firsts += int((drawn.team == 0).sum())
    assert abs(firsts / 18_000 - 0.5) < 0.02


def test_an_order_that_has_less_leaves_its_turns_to_the_other() -> None:
    drawn = team_draft(np.array([1], np.int32), np.array([1, 2, 3, 4], np.int32), 4, 0)
    assert sorted(drawn.shown.tolist()) == [1, 2, 3, 4]
    assert drawn.team[drawn.shown != 1].tolist() == [1, 1, 1]
    assert team_draft(np.array([], np.int32), np.array([], np.int32), 4, 0).shown.tolist() == []
