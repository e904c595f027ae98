"""Learned quotas: by kind of user, saved and read, and against the ways to spend candidates that they must beat."""

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
from training.quotas.kinds import KINDS, kind_of
from training.quotas.seen import SeenCandidates, replay, seen_candidates
from training.quotas.table import QuotaTable

BUDGET = (100, 100)


def two_kinds(seed: int, requests: int = 400) -> SeenCandidates:
    """Users of kind 0 want what the first source finds first, users of kind 5 what the second does."""
    rng = np.random.default_rng(seed)
    parts, wanted, kinds = [], [], []
    for _ in range(requests):
        kind = int(rng.integers(0, 2)) * 5
        rank = np.full((200, 2), -1, np.int32)
        rank[:100, 0], rank[100:, 1] = np.arange(100), np.arange(100)
        mine = np.arange(50) + (0 if kind == 0 else 100)
        hit = np.zeros(200, bool)
        hit[rng.choice(mine, 3, replace=False)] = True
        parts.append(rank)
        wanted.append(hit)
        kinds.append(kind)
    each = np.repeat(np.arange(requests), 200)
    ones = np.ones(len(each))
    return SeenCandidates(("a", "b"), each, np.concatenate(parts), np.concatenate(wanted), ones, np.array(kinds))


def test_quotas_differ_by_kind_of_user_and_save_half_of_what_static_ones_score() -> None:
    before, after = two_kinds(1), two_kinds(2)
    table = QuotaTable.learn(before, BUDGET)
    assert table.paths[0].at(0.0).tolist() == [50, 0]
    assert table.paths[5].at(0.0).tolist() == [0, 50]
    learned, static = learned_curve(table, after), static_curve(before, BUDGET, after)
    ours, theirs = cheapest(learned, 0.99), cheapest(static, 0.99)
    assert ours is not None
    assert theirs is not None
    assert ours.cost == pytest.approx(0.5 * theirs.cost)


def test_a_kind_that_was_seldom_seen_has_the_path_of_all() -> None:
    table = QuotaTable.learn(two_kinds(1), BUDGET)
    assert table.paths[1].quotas.tolist() == table.paths[KINDS - 1].quotas.tolist()
    assert table.paths[1].at(0.0).tolist() == [50, 50]


def test_a_table_reads_what_it_saved(tmp_path: Path) -> None:
    table = QuotaTable.learn(two_kinds(3, 200), BUDGET, 0.01)
    table.save(tmp_path)
    other = QuotaTable.open(tmp_path)
    assert (other.sources, other.price) == (table.sources, table.price)
    for kind in range(KINDS):
        assert other.quotas(kind).tolist() == table.quotas(kind).tolist()
    assert table.quotas(0, factor=1e9).tolist() == [0, 0]


def test_every_curve_ends_with_everything() -> None:
    seen = seen_at_random(5, 60, 120, 3, 100)
    budget = (100, 100, 100)
    curves = [
        learned_curve(QuotaTable.learn(seen, budget), seen),
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


def test_kinds_tell_users_apart_by_what_is_known_of_them() -> None:
    kinds = [kind_of(pins, did) for pins in (0, 2, 5, 30) for did in (0, 3, 10, 40, 100, 300)]
    assert kinds == list(range(KINDS))


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
    assert seen.kind.tolist() == [kind_of(2, 0), kind_of(0, 0)]
    whole = replay(seen, np.array([2, 2]))
    assert whole.kept.tolist() == [2, 1]
    assert whole.scored.tolist() == [3, 9]
