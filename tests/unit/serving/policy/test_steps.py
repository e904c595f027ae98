"""Diversity and policy steps, against slow obvious versions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import ConfigError
from serving.policy.steps import Slate, apply_steps, cap, demote_labels, exclude, forbid_labels, mmr


def _slate(n: int = 8, seed: int = 0) -> Slate:
    rng = np.random.default_rng(seed)
    return Slate.ranked(
        np.arange(n) + 100,
        rng.random(n).astype(np.float32),
        board=rng.integers(-1, 3, n),
        topic=rng.integers(-1, 2, n),
        vector=rng.random((n, 4)).astype(np.float32),
        labels=rng.integers(0, 4, n),
    )


def test_ranked_sorts_everything_together_and_breaks_ties_by_place() -> None:
    slate = Slate.ranked(np.array([1, 2, 3]), np.array([0.5, 0.9, 0.5]), board=np.array([7, 8, 9]))
    assert slate.pin.tolist() == [2, 1, 3]
    assert slate.board is not None
    assert slate.board.tolist() == [8, 7, 9]


def test_excluded_and_labelled_pins_go_and_are_counted() -> None:
    slate = Slate.ranked(np.array([1, 2, 3, 4]), np.array([4.0, 3, 2, 1]), labels=np.array([0, 1, 2, 3]))
    kept = apply_steps(slate, [exclude(np.array([1])), forbid_labels(2)])
    assert kept.pin.tolist() == [2]
    assert kept.removed == {"seen": 1, "policy": 2}
    assert slate.removed == {}
    assert exclude(np.zeros(0))(slate) is slate


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
    assert cap("board", most)(slate).pin.tolist() == first + later


def test_mmr_equals_the_slow_greedy_and_loses_nobody() -> None:
    slate = _slate(12, 3)
    vector = slate.vector
    assert vector is not None
    unit = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    relevance = (slate.score - slate.score.min()) / (slate.score.max() - slate.score.min())
    slow: list[int] = []
    while len(slow) < 5:
        gains = [
            -np.inf if i in slow else 0.6 * relevance[i] - 0.4 * max((unit[i] @ unit[j] for j in slow), default=0.0)
            for i in range(12)
        ]
        slow.append(int(np.argmax(gains)))
    out = mmr(5, 0.4)(slate)
    assert out.pin[:5].tolist() == slate.pin[slow].tolist()
    assert sorted(out.pin) == sorted(slate.pin)
    assert mmr(5, 0.0)(slate) is slate


def test_mmr_puts_a_different_pin_before_a_near_copy() -> None:
    slate = Slate(
        np.array([1, 2, 3]), np.array([1.0, 0.95, 0.5]), vector=np.array([[1.0, 0], [1, 0.01], [0, 1]], np.float32)
    )
    assert mmr(2, 0.7)(slate).pin.tolist() == [1, 3, 2]


def test_demotion_lowers_scores_of_either_sign() -> None:
    slate = Slate(np.array([1, 2, 3]), np.array([1.0, 0.8, -0.1]), labels=np.array([1, 0, 1]))
    out = demote_labels(1, 0.5)(slate)
    assert out.pin.tolist() == [2, 1, 3]
    np.testing.assert_allclose(out.score, [0.8, 0.5, -0.2])


def test_steps_without_their_data_do_nothing_and_empty_slates_pass() -> None:
    bare = Slate(np.array([1, 2]), np.array([2.0, 1.0]))
    steps = [forbid_labels(1), cap("topic", 1), cap("board", 1), mmr(2, 0.5), demote_labels(1, 0.5)]
    assert apply_steps(bare, steps) is bare
    empty = Slate(
        np.zeros(0, int), np.zeros(0), board=np.zeros(0, int), vector=np.zeros((0, 2)), labels=np.zeros(0, int)
    )
    assert len(apply_steps(empty, steps).pin) == 0


def test_wrong_settings_are_refused() -> None:
    for make in (lambda: cap("pin", 1), lambda: mmr(3, 1.5), lambda: demote_labels(1, 0.0)):
        with pytest.raises(ConfigError):
            make()
