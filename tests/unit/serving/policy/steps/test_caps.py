"""Caps against counting one pin after the other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.settings.clients import PolicySettings
from serving.policy.slate import Slate
from serving.policy.steps.caps import cap, caps
from tests.unit.serving.policy.steps.slates import bare, empty, request


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 3), max_size=30), st.integers(1, 4))
def test_cap_keeps_the_best_of_each_group_in_front_and_loses_nobody(groups: list[int], most: int) -> None:
    n = len(groups)
    slate = Slate(np.arange(n), -np.arange(n, dtype=np.float32), board=np.array(groups, np.int64))
    count: dict[int, int] = {}
    first, later = [], []
    for i, g in enumerate(groups):
        count[g] = count.get(g, 0) + 1
        (first if g < 0 or count[g] <= most else later).append(i)
    assert cap(slate, request(), part="board", most=most).pin.tolist() == first + later


def test_topics_are_capped_by_topic() -> None:
    slate = Slate(np.arange(4), -np.arange(4.0), board=np.array([1, 2, 3, 4]), topic=np.array([7, 7, 8, -1]))
    assert cap(slate, request(), part="topic", most=1).pin.tolist() == [0, 2, 3, 1]
    assert cap(slate, request(), part="board", most=1) is slate


def test_without_groups_nothing_changes() -> None:
    slate = bare()
    assert cap(slate, request(), part="topic", most=1) is slate
    assert len(cap(empty(), request(), part="board", most=1).pin) == 0


def test_a_client_has_the_caps_that_it_asks_for() -> None:
    assert list(caps(PolicySettings())) == []
    assert len(list(caps(PolicySettings(board_cap=1, topic_cap=1)))) == 2
