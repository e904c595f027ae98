"""The walker stage: query pins from actions, exclusion, cold start."""

from dataclasses import fields

import numpy as np
import pytest

from apps.project import Opened
from cluster.settings.clients import Client, WalkSettings
from cluster.walk.walker import WalkParams
from serving.candidates.query import merge_sequence, query_pins
from serving.request.ask import Recents
from tests.worlds.funnel import NOW, ask, opened_world, some_user

HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_world(tmp_path_factory.mktemp("world"))


def recents(*rows: tuple[int, str, int]) -> Recents:
    pins, actions, hours = zip(*rows, strict=True)
    moments = NOW - np.array(hours, np.int64) * HOUR
    return Recents(
        np.array(pins, object), np.array(actions, object), np.array(["homefeed"] * len(rows), object), moments
    )


def test_weights_follow_action_and_age() -> None:
    client = Client(name="x", query={"half_life_hours": 10, "actions": {"save": 2.0, "click": 1.0}})  # type: ignore[arg-type]
    sequence = recents((1, "save", 0), (2, "save", 10), (3, "click", 0), (4, "hide", 0), (3, "click", 10))
    ids, weight, age = query_pins(client, sequence, (), NOW)
    assert dict(zip(ids, weight.tolist(), strict=True)) == pytest.approx({1: 2.0, 3: 1.5, 2: 1.0})
    assert dict(zip(ids, age.tolist(), strict=True)) == pytest.approx({1: 0, 3: 0, 2: 10})


def test_only_the_heaviest_pins_are_kept() -> None:
    client = Client(name="x", query={"max_pins": 2, "source": "both", "request_weight": 9.0})  # type: ignore[arg-type]
    ids, _, _ = query_pins(client, recents((1, "save", 0), (2, "click", 0)), ((7, None), (8, 0.01)), NOW)
    assert ids == [7, 1]


def test_live_events_and_history_are_merged_once() -> None:
    live, history = recents((1, "save", 1), (2, "click", 2)), recents((2, "click", 2), (3, "save", 3), (9, "save", -1))
    merged = merge_sequence(history, live, NOW, 10)
    assert merged.pin_ids.tolist() == [1, 2, 3]
    assert merge_sequence(history, live, NOW, 2).pin_ids.tolist() == [1, 2]


def test_a_known_user_gets_a_walk(world: Opened) -> None:
    candidates = world.new_process().sources.candidates(ask(user_id=some_user(world)))
    assert candidates.source == "walk"
    assert len(candidates.pins) == len(candidates.pin_ids) == len(candidates.score) == len(candidates.by_query)
    assert (np.diff(candidates.score[candidates.score > 0]) <= 0).all()
    assert len(np.unique(candidates.pins)) == len(candidates.pins)


def test_acted_on_and_excluded_pins_never_come_back(world: Opened) -> None:
    sources, user = world.new_process().sources, some_user(world)
    first = sources.candidates(ask(user_id=user))
    barred = [int(i) for i in first.pin_ids[:5]]
    again = sources.candidates(ask(user_id=user, exclude=tuple(barred)))
    assert not set(barred) & {int(i) for i in again.pin_ids}
    assert not set(again.sequence.pin_ids.tolist()) & set(again.pin_ids.tolist())


def test_an_unknown_user_gets_the_popular_pins_of_the_locale(world: Opened) -> None:
    catalog = world.new_process().catalogs.current
    name = catalog.pins.vocabulary.locales[0]
    candidates = world.new_process().sources.candidates(ask(user_id=999_999_999, locale=name))
    assert candidates.source == "popular"
    assert len(candidates.pins) >= world.clients["homefeed"].sizes.answer
    ours = catalog.pins.popular(catalog.pins.locale_code(name), 10)
    assert candidates.pins[:10].tolist() == ours.tolist()


def test_unknown_query_pins_are_ignored(world: Opened) -> None:
    pin = int(world.new_process().catalogs.current.graph.pin_ids.ids_of(np.array([5]))[0])
    sources = world.new_process().sources
    candidates = sources.candidates(ask("search", query_pins=((pin, None), (123, None), ("text", None))))
    assert candidates.query_ids.tolist() == [pin]


def test_the_walk_starts_from_live_events(world: Opened) -> None:
    pin = int(world.new_process().catalogs.current.graph.pin_ids.ids_of(np.array([5]))[0])
    candidates = world.new_process().sources.candidates(ask(user_id=999_999_999, recents=recents((pin, "save", 1))))
    assert candidates.source == "walk"
    assert candidates.query_ids.tolist() == [pin]


def test_a_client_file_can_set_every_parameter_of_the_walk() -> None:
    kept = {"top_k", "drop_query"}  # the first is sizes.walk; a query pin is never an answer to itself
    assert set(WalkSettings.model_fields) == {f.name for f in fields(WalkParams)} - kept
    shared = WalkSettings().model_dump(exclude={"steps"})
    assert shared == {name: getattr(WalkParams(), name) for name in shared}
