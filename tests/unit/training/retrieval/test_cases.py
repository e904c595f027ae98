"""What is held out is not known, and what is known was before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worlds.sequences import sequences_of
from training.retrieval.cases import Protocol, held_out, split

USERS = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=12), min_size=1, max_size=12)


def _sequences(users: list[list[tuple[int, int]]]):  # type: ignore[no-untyped-def]
    ordered = [sorted(each, key=lambda pair: pair[1]) for each in users]
    return sequences_of([[i for i, _ in each] for each in ordered], [[s for _, s in each] for each in ordered])


@pytest.mark.parametrize("protocol", ["leave-one-out", "time-split"])
@given(USERS)
def test_a_case_is_the_action_behind_what_is_known(protocol: Protocol, users: list[list[tuple[int, int]]]) -> None:
    whole = _sequences(users)
    if not len(whole.items):
        return
    cases = split(whole, protocol)
    assert cases.known.n_users == whole.n_users
    for user, wanted, asked in zip(cases.user.tolist(), cases.wanted.tolist(), cases.asked.tolist(), strict=True):
        known = cases.known.of(user)
        n = known.stop - known.start
        assert n > 0
        start = int(whole.offsets[user])
        np.testing.assert_array_equal(cases.known.items[known], whole.items[start : start + n])
        assert (whole.items[start + n], whole.seconds[start + n]) == (wanted, asked)
        if protocol == "leave-one-out":
            assert start + n + 1 == whole.offsets[user + 1]
    if protocol == "time-split" and len(cases.user):
        assert cases.known.seconds.max() < cases.asked.min()


def test_who_did_one_thing_is_learnt_from_and_not_asked_for() -> None:
    cases = split(sequences_of([[3], [1, 2]]), "leave-one-out")
    assert cases.user.tolist() == [1]
    assert cases.known.items.tolist() == [3, 1]


def test_users_held_out_to_stop_by_lose_one_action_each() -> None:
    known = sequences_of([[1, 2, 3, 4]] * 20 + [[1, 2]])
    cases = held_out(known, 3, np.random.default_rng(0))
    assert len(cases.user) == 3
    assert len(cases.known.items) == len(known.items) - 3
    assert 20 not in cases.user
    assert len(held_out(known, 100, np.random.default_rng(0)).user) == 4
