"""The simulator against a stand-in server: order, pairing of arms, delivery of events, retries, a true difference."""

import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.world.actions import ActionModel, Showing
from apps.world.front_end import FrontEndError
from apps.world.plan import MIX, RANKED, VISIT_COUNT, SimulationPlan, schedule, split_users
from apps.world.simulate import Simulator
from apps.world.traffic import Traffic
from cluster.errors import ConfigError, DataError
from tests.worlds.fake_api import FakeApi
from tests.worlds.toy import toy_world

IDS = toy_world().pin_ids
USER_AT = {user: at for at, user in enumerate(toy_world().user_ids.tolist())}


def some_pins(client: str, body: dict[str, Any]) -> list[Any]:
    return np.random.default_rng(len(str(body["at"])) + body["user_id"]).choice(IDS, 10, replace=False).tolist()


def best_when_ranked(client: str, body: dict[str, Any]) -> list[Any]:
    """Truly best pins for the ranked arm, random ones for the other."""
    user, rng = USER_AT[body["user_id"]], np.random.default_rng(zlib.crc32(body["at"].encode()))
    pins = rng.choice(len(IDS), 100, replace=False)
    if body["order"] == "ranked":
        zero = np.zeros(100, np.int64)
        what = Showing(client, user, pins, 0.0, np.empty(0, np.int64), zero, zero)
        pins = pins[np.argsort(-ActionModel(toy_world().latent).utility(what, {"save": 1.0, "click": 1.0}))]
    return IDS[pins[:10]].tolist()


def plan(requests: int = 150, **changes: Any) -> SimulationPlan:
    return SimulationPlan(**({"users": np.arange(60), "requests": requests, "start_day": 0.0, "days": 2.0} | changes))


def test_counts_events_and_probabilities_agree_with_what_was_sent() -> None:
    api = FakeApi(some_pins)
    ticks: list[tuple[str, float]] = []
    seen = Simulator(toy_world(), "http://fake", transport=api.transport).run(plan(), lambda a, b: ticks.append((a, b)))
    assert seen.requests.sum() == len(api.asks) == 150
    assert seen.shown.sum() == 1500
    assert len(api.events) == seen.did.sum() > 50
    assert 0.5 < seen.did.sum() / seen.expected.sum() < 2.0
    assert ticks == [("requests", (n + 1) / 150) for n in range(150)]
    assert len({event["event_id"] for event in api.events}) == len(api.events)
    answered = dict(api.asks)
    assert all(answered[event["request_id"]]["user_id"] == event["user_id"] for event in api.events)
    assert {event["client"] for event in api.events} == set(MIX)
    assert seen.versions == {"graph": {"g1": 150}}
    assert seen.quantile(0.5) > 0


def test_a_users_events_are_acknowledged_before_the_user_asks_again() -> None:
    api = FakeApi(some_pins)
    Simulator(toy_world(), "http://fake", transport=api.transport).run(plan(300))
    asked: dict[Any, list[int]] = {}
    where = {}
    for at, (kind, what) in enumerate(api.log):
        if kind == "ask":
            asked.setdefault(what[1]["user_id"], []).append(at)
            where[what[0]] = at
    for at, (kind, what) in enumerate(api.log):
        for event in what if kind == "events" else []:
            later = [a for a in asked[event["user_id"]] if a > where[event["request_id"]]]
            assert not later or at < later[0]


def test_a_users_requests_run_in_order_of_time_and_concurrency_is_bounded() -> None:
    api = FakeApi(some_pins)
    Simulator(toy_world(), "http://fake", transport=api.transport).run(plan(200, concurrency=4))
    assert 1 < api.most_at_once <= 4
    times: dict[Any, list[str]] = {}
    for _, body in api.asks:
        times.setdefault(body["user_id"], []).append(body["at"])
    assert all(moments == sorted(moments) for moments in times.values())


def test_the_same_plan_draws_the_same_actions() -> None:
    a, b = (
        Simulator(toy_world(), "http://fake", transport=FakeApi(some_pins).transport).run(plan(concurrency=c))
        for c in (1, 8)
    )
    assert np.array_equal(a.did, b.did)


def test_query_pins_follow_the_client() -> None:
    api = FakeApi(some_pins)
    world = toy_world()
    Simulator(world, "http://fake", transport=api.transport).run(plan(300, mix={"search": 1, "related_pins": 1}))
    sizes = {len(body.get("query_pins", [])) for _, body in api.asks}
    assert sizes == {1, 5}
    index = {pin: at for at, pin in enumerate(IDS.tolist())}
    for _, body in api.asks:
        named = [index[pin["pin_id"]] for pin in body["query_pins"]]
        if len(named) == 5:
            topics = set(world.latent.pins.main[named])
            assert len(topics) == 1
            assert world.latent.users.interests[USER_AT[body["user_id"]], topics.pop()] > 0


def test_arms_alternate_within_user_and_client() -> None:
    visits = schedule(toy_world(), plan(2000, arms=(VISIT_COUNT, RANKED)))
    by_pair: dict[tuple[int, str], list[str]] = {}
    for visit in visits:
        by_pair.setdefault((visit.user, visit.client), []).append(visit.arm.name)
    assert all(a != b for arms in by_pair.values() for a, b in pairwise(arms))
    first = [arms[0] for arms in by_pair.values()]
    assert 0.35 < first.count("ranked") / len(first) < 0.65


def test_a_better_order_shows_in_the_counts() -> None:
    api = FakeApi(best_when_ranked)
    seen = Simulator(toy_world(), "http://fake", transport=api.transport).run(plan(400, arms=(VISIT_COUNT, RANKED)))
    baseline, ranked = seen.did.sum(axis=(0, 2))[:, :2].sum(axis=1) / seen.shown.sum(axis=(0, 2))  # saves and clicks
    assert ranked > 1.3 * baseline


def test_users_are_split_without_overlap() -> None:
    train, held_out = split_users(toy_world(), 0.4)
    assert len(held_out) == 24
    assert sorted([*train, *held_out]) == list(range(60))
    assert not np.array_equal(held_out, split_users(toy_world(), 0.4, seed=1)[1])


def test_busy_servers_are_retried_and_refusals_are_not() -> None:
    api = FakeApi(some_pins, faults=(503, 429))
    seen = Simulator(toy_world(), "http://fake", transport=api.transport).run(plan(5))
    assert seen.requests.sum() == 5
    assert seen.retried == 2
    with pytest.raises(FrontEndError, match=r"HTTP 403: try later"):
        Simulator(toy_world(), "http://fake", transport=FakeApi(some_pins, (403,)).transport).run(plan(5))


def test_keys_go_with_their_client() -> None:
    api = FakeApi(some_pins)
    Simulator(toy_world(), "http://fake", {"ads": "secret"}, api.transport).run(plan(40, mix={"ads": 1, "search": 1}))
    assert ("/v1/ads/recommendations", "secret") in api.keys
    assert ("/v1/search/recommendations", None) in api.keys
    assert {key for path, key in api.keys if path == "/v1/events"} == {"secret", None}


def test_foreign_pins_and_empty_plans_are_clear_errors() -> None:
    api = FakeApi(lambda client, body: [-5])
    with pytest.raises(FrontEndError, match="not of this world"):
        Simulator(toy_world(), "http://fake", transport=api.transport).run(plan(2))
    with pytest.raises(ConfigError, match="traffic plan"):
        schedule(toy_world(), plan(0))


def test_traffic_survives_json(tmp_path: Path) -> None:
    seen = Simulator(toy_world(), "http://fake", transport=FakeApi(some_pins).transport).run(plan(20))
    seen.save(tmp_path / "t.json")
    back = Traffic.load(tmp_path / "t.json")
    assert np.array_equal(back.did, seen.did)
    assert back.clients == seen.clients
    assert back.rate("ads", "ranked", "click") == pytest.approx(seen.rate("ads", "ranked", "click"), nan_ok=True)
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(DataError, match="not a traffic file"):
        Traffic.load(tmp_path / "t.json")
