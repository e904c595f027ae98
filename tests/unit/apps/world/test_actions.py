"""The action model: draws agree with probabilities, and each cause moves an action the way docs/world.md says."""

from dataclasses import replace

import numpy as np
import pytest

from apps.world.actions import HABITS, ActionModel, Showing
from apps.world.latent import NO_LOCALE, Latent
from cluster.errors import ConfigError
from tests.worlds.toy import toy_world


def showing(client: str = "homefeed", n: int = 12, **changes: object) -> Showing:
    pins = np.arange(n) * 7
    base = Showing(client, 3, pins, 1.0, np.array([5, 40]), np.zeros(n, np.int64))
    return replace(base, **changes)  # type: ignore[arg-type]


def changed(**columns: object) -> ActionModel:
    latent = toy_world().latent
    return ActionModel(Latent(replace(latent.pins, **columns), latent.users, latent.boards))  # type: ignore[arg-type]


@pytest.mark.parametrize("client", list(HABITS))
def test_draws_agree_with_the_probabilities(client: str) -> None:
    model, rng, rounds = ActionModel(toy_world().latent), np.random.default_rng(0), 1000
    what = showing(client)
    expected = model.probabilities(what)
    assert ((expected > 0) & (expected < 1)).all()
    found = sum(model.sample(rng, what).astype(np.int64) for _ in range(rounds)) / rounds
    error = np.sqrt(expected * (1 - expected) / rounds)
    assert (np.abs(found - expected) < 5 * error + 1e-9).all()


def test_a_hidden_pin_gets_nothing_else_and_long_clicks_are_clicks() -> None:
    model, rng = ActionModel(toy_world().latent), np.random.default_rng(1)
    name = {action: at for at, action in enumerate(model.actions)}
    for _ in range(300):
        did = model.sample(rng, showing("ads", 40))
        assert not (did[:, name["hide"]] & did[:, [a for n, a in name.items() if n != "hide"]].any(axis=1)).any()
        assert (did[:, name["click"]] | ~did[:, name["long_click"]]).all()


@pytest.mark.parametrize("client", list(HABITS))
def test_lower_slots_are_looked_at_less(client: str) -> None:
    looked = ActionModel(toy_world().latent).looked(showing(client))
    assert looked[0] == 1.0
    assert (np.diff(looked) < 0).all()


def test_causes_move_actions_as_documented() -> None:
    model = ActionModel(toy_world().latent)
    pins, users = toy_world().latent.pins, toy_world().latent.users
    save, click, _, long_click, hide = range(5)
    zero = np.zeros(12, np.int64)
    base = model.probabilities(showing(position=zero))
    better = changed(quality=pins.quality + 1).probabilities(showing(position=zero))
    assert (better[:, save] > base[:, save]).all()
    assert (better[:, hide] < base[:, hide]).all()
    baited = changed(bait=pins.bait + 1).probabilities(showing(position=zero))
    assert (baited[:, click] > base[:, click]).all()
    assert (baited[:, long_click] / baited[:, click] < base[:, long_click] / base[:, click]).all()
    tired = model.probabilities(showing(position=zero, seen=zero + 3))
    assert (tired[:, save] < base[:, save]).all()
    assert (tired[:, hide] > base[:, hide]).all()
    textless = changed(locale=np.full_like(pins.locale, NO_LOCALE)).probabilities(showing(position=zero))
    foreign = (pins.locale[showing().pins] != NO_LOCALE) & (pins.locale[showing().pins] != users.locale[3])
    assert foreign.any()
    assert (textless[foreign, save] > base[foreign, save]).all()
    assert np.array_equal(textless[~foreign], base[~foreign])
    older = model.probabilities(showing(position=zero, day=60.0))
    assert (older[:, save] < base[:, save]).all()


def test_likeness_to_the_query_pin_counts_beside_a_pin_and_not_on_the_feed() -> None:
    world = toy_world()
    model, pins = ActionModel(world.latent), world.latent.pins
    near, far = np.flatnonzero(pins.main == pins.main[0])[1:2], np.flatnonzero(pins.topics[:, pins.main[0]] == 0)[:1]
    shown, seen = np.array([0]), np.zeros(1, np.int64)
    for client, matters in (("related_pins", True), ("search", True), ("homefeed", False), ("notifications", False)):
        a, b = (model.probabilities(Showing(client, 1, shown, 0.0, q, seen)) for q in (near, far))
        assert np.array_equal(a, b) != matters


def test_an_unknown_client_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="no habits for client 'tv'"):
        ActionModel(toy_world().latent).probabilities(showing("tv"))
