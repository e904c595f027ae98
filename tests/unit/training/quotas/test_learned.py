"""Learned quotas: by request, saved and read, and against the ways to spend candidates that they must beat."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.features.inputs import SourceInput
from tests.unit.training.quotas.test_paths import seen_at_random
from training.log.arrays import Request
from training.quotas.baselines import (
    calibrated_curve,
    cheapest,
    fusion_curve,
    learned_curve,
    round_robin_curve,
    static_curve,
)
from training.quotas.demand import known_of
from training.quotas.learned import LearnedQuotas
from training.quotas.seen import SeenCandidates, replay, seen_candidates

BUDGET = (100, 100)


def two_kinds(seed: int, requests: int = 400) -> SeenCandidates:
    """New users want what the first source finds first, users of 200 actions what the second does."""
    rng = np.random.default_rng(seed)
    parts, wanted, actions = [], [], []
    for _ in range(requests):
        did = int(rng.integers(0, 2)) * 200
        rank = np.full((200, 2), -1, np.int32)
        rank[:100, 0], rank[100:, 1] = np.arange(100), np.arange(100)
        mine = np.arange(50) + (0 if did == 0 else 100)
        hit = np.zeros(200, bool)
        hit[rng.choice(mine, 3, replace=False)] = True
        parts.append(rank)
        wanted.append(hit)
        actions.append(did)
    each = np.repeat(np.arange(requests), 200)
    ones = np.ones(len(each))
    known = known_of(np.ones(requests, np.int64), np.array(actions))
    return SeenCandidates(("a", "b"), each, np.concatenate(parts), np.concatenate(wanted), ones, known)


def test_quotas_differ_by_user_and_save_half_of_what_static_ones_score() -> None:
    before, after = two_kinds(1), two_kinds(2)
    quotas = LearnedQuotas.learn(before, BUDGET)
    price = 0.5 * float(quotas.path.worth[-1])
    quotas = replace(quotas, price=price)
    assert quotas.quotas(known_of(1, 0)).tolist() == [50, 0]
    assert quotas.quotas(known_of(1, 200)).tolist() == [0, 50]
    assert quotas.static().quotas(known_of(1, 0)).tolist() == [50, 50]
    learned, static = learned_curve(quotas, after), static_curve(before, BUDGET, after)
    ours, theirs = cheapest(learned, 0.99), cheapest(static, 0.99)
    assert ours is not None
    assert theirs is not None
    assert ours.cost == pytest.approx(0.5 * theirs.cost)


def test_learned_quotas_read_what_they_saved(tmp_path: Path) -> None:
    quotas = replace(LearnedQuotas.learn(two_kinds(3, 200), BUDGET), price=0.01)
    quotas.save(tmp_path)
    other = LearnedQuotas.open(tmp_path)
    assert (other.sources, other.price) == (quotas.sources, quotas.price)
    for actions in (0, 5, 80, 1000):
        assert other.quotas(known_of(3, actions)).tolist() == quotas.quotas(known_of(3, actions)).tolist()
    assert quotas.quotas(known_of(1, 0), factor=1e9).tolist() == [0, 0]


def test_quotas_that_ask_for_other_numbers_are_refused(tmp_path: Path) -> None:
    """Those of kinds of users, from before, name no numbers at all."""
    LearnedQuotas.learn(two_kinds(3, 100), BUDGET).save(tmp_path)
    told = json.loads((tmp_path / "quotas.json").read_text())
    del told["known"]
    (tmp_path / "quotas.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="other numbers of a request than query_pins, actions"):
        LearnedQuotas.open(tmp_path)


def test_every_curve_ends_with_everything() -> None:
    seen = seen_at_random(5, 60, 120, 3, 100)
    budget = (100, 100, 100)
    curves = [
        learned_curve(LearnedQuotas.learn(seen, budget), seen),
        static_curve(seen, budget, seen),
        round_robin_curve(budget, seen),
        fusion_curve(seen),
        calibrated_curve(seen, budget, seen),
    ]
    for curve in curves:
        assert max(point.share for point in curve) == 1.0
        for point in curve:
            assert 0.0 <= point.share <= 1.0
            assert point.cost <= replay(seen, np.array(budget)).cost + 1e-9
    assert cheapest(curves[0], 1.01) is None


def _request(position: list[int], actions: list[int], rank: list[list[int]], kept_rate: float = 1.0) -> Request:
    n = len(position)
    return Request(
        request_id="r",
        client="c",
        user=1,
        stage=np.zeros(n, np.int8),
        position=np.array(position, np.int16),
        explored=np.zeros(n, bool),
        visit_score=np.zeros(n, np.float32),
        full_score=np.zeros(n, np.float32),
        shared=np.zeros(1, np.float32),
        candidates=np.zeros((n, 1), np.float32),
        actions=np.array(actions, np.float32)[:, None],
        row=0,
        kept_rate=kept_rate,
        sources=SourceInput(("b", "a"), np.array(rank, np.int32), np.zeros((n, 2), np.float32)),
    )


def test_wanted_is_what_was_shown_or_of_a_replay_what_was_acted_on() -> None:
    live = _request([0, -1, 1, -1], [0, 1, 0, 0], [[0, -1], [1, 0], [-1, 1], [-1, -1]])
    replayed = _request([-1, -1, -1, -1], [0, 1, 0, 0], [[0, -1], [1, 0], [-1, 1], [-1, -1]], kept_rate=0.25)
    seen = seen_candidates([live, replayed], [2, 0], [0, 0], ("a", "b"))
    assert seen.wanted.tolist() == [True, False, True, False, True, False]
    assert seen.rank[:3].tolist() == [[-1, 0], [0, 1], [1, -1]]
    assert seen.weight.tolist() == [1, 1, 1, 4, 1, 4]
    assert seen.known.tolist() == [known_of(2, 0).tolist(), known_of(0, 0).tolist()]
    assert seen.found().tolist() == [[1, 1], [1, 1]]
    whole = replay(seen, np.array([2, 2]))
    assert whole.kept.tolist() == [2, 1]
    assert whole.scored.tolist() == [3, 9]
