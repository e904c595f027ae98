"""Which candidates count, and whose requests are resampled together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.judge.judged import judged_rows, user_units

CANDIDATES = st.lists(st.tuples(st.integers(-1, 5), st.booleans()), min_size=1, max_size=8)


@given(st.lists(CANDIDATES, min_size=1, max_size=6))
def test_all_of_a_replayed_request_and_what_a_live_one_showed(requests: list[list[tuple[int, bool]]]) -> None:
    wanted = []
    for candidates in requests:
        showed_something = any(position >= 0 for position, _ in candidates)
        for position, acted in candidates:
            wanted.append(not showed_something or position >= 0 or acted)
    flat = [candidate for candidates in requests for candidate in candidates]
    request = np.repeat(np.arange(len(requests)), [len(candidates) for candidates in requests])
    found = judged_rows(np.array([p for p, _ in flat]), np.array([a for _, a in flat]), request)
    assert found.tolist() == wanted


def test_units_are_users_unless_there_is_one_only() -> None:
    units = user_units(np.array([70, 5, 70, 9]))
    assert units is not None
    assert units.tolist() == [2, 0, 2, 1]
    assert user_units(np.array([7, 7, 7])) is None
    assert user_units(np.zeros(0, np.int64)) is None
