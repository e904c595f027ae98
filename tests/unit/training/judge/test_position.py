"""What positions do for actions: weights against a slow reference, exploration slots, the published full ranker."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.settings.clients import Client
from cluster.store.bundles import BundleStore
from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.ranker import SCHEMA, toy_model
from tests.worlds.training import requests
from training.judge.learnt_positions import effect_in_full_ranker
from training.judge.lightweight import LightweightReport, evaluate_lightweight
from training.judge.position import (
    PRIOR_ACTIONS,
    PositionEffect,
    action_rates,
    effect_in_exploration,
    position_lift,
    without_position,
)
from training.log.arrays import Request
from training.metrics.ranking import ideal_dcg
from training.ranker.scorer import FullScorer

SLOTS = 12
LOOKED_AT = 1.0 / (1.0 + np.arange(SLOTS))
"""Chance that a position is seen."""
WORTH = np.array([1.0, 0.5, -1.0])


@given(st.integers(0, 10_000), st.integers(1, 15))
def test_the_gains_of_a_request_candidate_by_candidate(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels, lift = (rng.random((n, 3)) < 0.4) * 1.0, rng.uniform(0.2, 3.0, (n, 3))
    gain, weight = without_position(labels, lift, WORTH, 10)
    slow = [sum(labels[i, a] * WORTH[a] / lift[i, a] for a in range(3)) for i in range(n)]
    plain = [sum(labels[i, a] * WORTH[a] for a in range(3)) for i in range(n)]
    best = sum(max(g, 0.0) / np.log2(r + 2) for r, g in enumerate(sorted(slow, reverse=True)[:10]))
    before = sum(max(g, 0.0) / np.log2(r + 2) for r, g in enumerate(sorted(plain, reverse=True)[:10]))
    np.testing.assert_allclose(gain, slow, atol=1e-12)
    assert weight == pytest.approx(best / before if before else 0.0)
    assert before == pytest.approx(ideal_dcg(np.array(plain), 10))


def test_the_lift_of_a_chance_is_that_of_its_odds() -> None:
    chance, odds = np.array([0.01, 0.3, 0.9]), np.array([2.0, 0.5, 4.0])
    moved = odds * chance / (1 - chance)
    np.testing.assert_allclose(position_lift(odds, chance), moved / (1 + moved) / chance)


@pytest.fixture(scope="module")
def shown_at_random(tmp_path_factory: pytest.TempPathFactory) -> tuple[LogsWorld, list[Request]]:
    """Answers of pins in the order of a score that says nothing, and people who see the first of them."""
    world = make_world(tmp_path_factory.mktemp("logs"), ("homefeed",), requests=20, n=40)
    one = requests(world, "homefeed")[0]
    rng = np.random.default_rng(0)
    made = []
    for i in range(1200):
        acted = rng.random(SLOTS) < 0.3 * LOOKED_AT
        part = one.only(np.arange(SLOTS))
        actions = np.zeros_like(part.actions)
        actions[:, 0] = acted
        visits = -np.arange(SLOTS, dtype=np.float32)  # the log's own order
        explored = rng.integers(0, SLOTS, 3)
        slots = np.arange(SLOTS, dtype=np.int16)
        marks = np.isin(slots, explored)
        made.append(
            replace(part, user=i, actions=actions, visit_score=visits, position=slots, explored=marks, kept_rate=1.0)
        )
    return world, made


def test_exploration_slots_tell_what_positions_do(shown_at_random: tuple[LogsWorld, list[Request]]) -> None:
    _, made = shown_at_random
    worth = np.array([1.0, 0.0, 0.0, 0.0, -1.0])
    effect = effect_in_exploration(made, worth)
    assert effect.source == "exploration slots"
    found = effect.of(np.arange(SLOTS))[:, 0]
    cases = [(int(p), bool(r.actions[p, 0])) for r in made for p in np.flatnonzero(r.explored)]
    mean = sum(acted for _, acted in cases) / len(cases)
    for low, high in ((0, 0), (1, 2), (3, 6), (7, 11)):  # buckets that double, counted one by one
        inside = [acted for p, acted in cases if low <= p <= high]
        lift = (sum(inside) + PRIOR_ACTIONS) / (len(inside) * mean + PRIOR_ACTIONS)
        np.testing.assert_allclose(found[low : high + 1], lift)
    assert 0.6 < found[0] / (LOOKED_AT[0] / LOOKED_AT.mean()) < 1.1  # shrunk to the mean
    np.testing.assert_array_equal(effect.of(np.array([-1, 500]))[:, 0], [1.0, found[-1]])
    assert effect_in_exploration(made[:50], worth).source == "nothing"  # too few explored actions
    unmarked = [replace(r, explored=np.zeros(SLOTS, bool)) for r in made]
    np.testing.assert_array_equal(effect_in_exploration(unmarked, worth).of(np.arange(SLOTS)), 1.0)
    assert effect_in_exploration([], worth).source == "nothing"


def test_the_order_of_the_log_wins_nothing_by_its_positions(
    shown_at_random: tuple[LogsWorld, list[Request]],
) -> None:
    world, made = shown_at_random

    def report(effect: PositionEffect | None) -> LightweightReport:
        rng = np.random.default_rng(1)
        orders = {
            "guess": lambda rs: [rng.random(r.n).astype(np.float32) for r in rs],
            "log": lambda rs: [r.visit_score for r in rs],
        }
        client = Client(name="homefeed", utility={"save": 1.0})
        return evaluate_lightweight(made, client, world.project.actions, world.features, orders, effect=effect)

    nothing = PositionEffect(np.ones((1, 5)), "nothing")
    naive, fair = report(nothing), report(None)
    assert fair.positions == "exploration slots"
    before, after = (found.differences["log"]["ndcg@10"] for found in (naive, fair))
    assert before.high < -0.1
    assert abs(after.mean) < abs(before.mean) / 3


def test_a_published_full_ranker_tells_what_positions_do(
    shown_at_random: tuple[LogsWorld, list[Request]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, made = shown_at_random
    store, model = BundleStore(tmp_path), toy_model()
    actions = SCHEMA.actions
    assert effect_in_full_ranker(store, "homefeed", actions, made) is None
    assert model.position is not None
    model.position.everyone.data[0] = 1.0
    scorer = FullScorer(SCHEMA, model.config, model)
    with store.write("full", {"schema_hash": SCHEMA.schema_hash}) as (folder, version):
        scorer.save(folder)
    effect = effect_in_full_ranker(store, "homefeed", actions, made)
    assert effect is not None
    assert effect.source == f"full ranker {version}"
    odds, rate = scorer.odds_at("homefeed", np.arange(SLOTS)), action_rates(made)
    assert odds[0, 0] > odds[1, 0]
    np.testing.assert_allclose(effect.of(np.arange(SLOTS)), odds / (1 + rate * (odds - 1)), rtol=1e-6)
    assert rate[0] == pytest.approx(np.mean([r.actions[:, 0].mean() for r in made]))
    assert effect_in_full_ranker(store, "homefeed", (*actions, "buy"), made) is None  # of other actions
    monkeypatch.setitem(sys.modules, "torch", None)  # not installed
    assert effect_in_full_ranker(store, "homefeed", actions, made) is None
    assert "pip install 'pinfunnel[full]'" in caplog.text
