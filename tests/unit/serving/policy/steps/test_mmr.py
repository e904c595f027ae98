"""MMR against the slow greedy that follows its definition."""

import numpy as np

from cluster.settings.clients import PolicySettings
from serving.policy.slate import Slate
from serving.policy.steps.mmr import SPREAD, diversity, mmr
from tests.unit.serving.policy.steps.slates import bare, empty, request


def test_mmr_equals_the_slow_greedy_and_loses_nobody() -> None:
    rng = np.random.default_rng(3)
    score = np.sort(rng.random(12).astype(np.float32))[::-1]
    vector = rng.random((12, 4)).astype(np.float32)
    slate = Slate(np.arange(12) + 100, score, vector=vector)
    unit = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    relevance = (slate.score - slate.score.min()) / (slate.score.max() - slate.score.min())
    slow: list[int] = []
    while len(slow) < 3 * SPREAD:
        gains = [
            -np.inf if i in slow else 0.3 * relevance[i] - 0.7 * max((unit[i] @ unit[j] for j in slow), default=0.0)
            for i in range(12)
        ]
        slow.append(int(np.argmax(gains)))
    assert slow != sorted(slow)
    out = mmr(slate, request(size=3), trade=0.7)
    assert out.pin[: 3 * SPREAD].tolist() == slate.pin[slow].tolist()
    assert sorted(out.pin) == sorted(slate.pin)


def test_a_different_pin_comes_before_a_near_copy() -> None:
    slate = Slate(
        np.array([1, 2, 3]), np.array([1.0, 0.95, 0.5]), vector=np.array([[1.0, 0], [1, 0.01], [0, 1]], np.float32)
    )
    assert mmr(slate, request(size=1), trade=0.7).pin.tolist() == [1, 3, 2]


def test_only_the_first_are_looked_at() -> None:
    vector = np.array([[1.0, 0], [1, 0.01], [0, 1]], np.float32)
    slate = Slate(np.array([1, 2, 3]), np.array([1.0, 0.95, 0.5]), vector=vector)
    assert mmr(slate, request(), trade=0.7, depth=2).pin.tolist() == [1, 2, 3]


def test_without_contents_nothing_changes() -> None:
    slate = bare()
    assert mmr(slate, request(), trade=0.5) is slate
    assert len(mmr(empty(), request(), trade=0.5).pin) == 0


def test_a_client_without_diversity_has_no_such_step() -> None:
    assert list(diversity(PolicySettings())) == []
    assert len(list(diversity(PolicySettings(diversity=0.3)))) == 1
