"""The client's policy in the funnel: caps, diversity, labels, seen and hidden pins hold in what is shown."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.project import Opened
from cluster.catalog.labels import PinLabels
from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.settings.clients import Client, PolicySettings, load_client
from serving.deploy.process import Process
from serving.funnel.funnel import Funnel
from serving.funnel.stages import DirectStages
from serving.policy.groups import main_topics, shared_boards
from serving.policy.labels import LabelRules, check_labels
from serving.policy.seen import Seen
from serving.request.ask import Recents
from tests.worlds.funnel import NOW, ask, opened_world, publish_lightweight, some_user


def _with(world: Opened, **policy: Any) -> Process:
    """The world's parts with another policy for homefeed, and no exploration."""
    home = world.clients["homefeed"]
    sizes = home.sizes.model_copy(update={"explore": 0})
    client = home.model_copy(update={"policy": PolicySettings(**policy), "sizes": sizes})
    process = Process(world.project, {**world.clients, "homefeed": client})
    publish_lightweight(process.store, process.features, "homefeed", "graph_score")
    process.watcher().poll()
    return process


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


def test_topic_and_board_caps_hold_in_the_answer(world: Opened) -> None:
    user = some_user(world)
    free = _with(world).funnel.recommend_now(ask(user_id=user))
    capped = _with(world, topic_cap=4, board_cap=2).funnel.recommend_now(ask(user_id=user))
    catalog = world.new_process().catalogs.current

    def most(answer: Any, groups: np.ndarray) -> int:
        count = Counter(groups.tolist())
        count.pop(-1, None)
        return max(count.values())

    for answer, least in ((free, 5), (capped, 1)):
        assert most(answer, main_topics(catalog, answer.candidates.pins[answer.shown])) >= least
    assert capped.ranked is not None
    survivors = capped.candidates.pins[capped.ranked.survivors]
    board = dict(zip(capped.ranked.survivors.tolist(), shared_boards(catalog.graph, survivors).tolist(), strict=True))
    topic = dict(zip(capped.ranked.survivors.tolist(), main_topics(catalog, survivors).tolist(), strict=True))
    assert most(capped, np.array([topic[p] for p in capped.shown.tolist()])) <= 4
    assert most(capped, np.array([board[p] for p in capped.shown.tolist()])) <= 2
    assert len(capped.shown) == len(free.shown)


def test_diversity_spreads_the_answer(world: Opened) -> None:
    user, topics = some_user(world), world.new_process().catalogs.current.pins.topics

    def closeness(process: Process) -> float:
        answer = process.funnel.recommend_now(ask(user_id=user))
        vectors = topics[answer.candidates.pins[answer.shown]]
        return float((vectors @ vectors.T).mean())

    assert closeness(_with(world, diversity=0.7)) < closeness(_with(world)) - 0.02


def test_forbidden_labels_never_show_even_when_the_ranking_fails(
    world: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = some_user(world)
    catalog = world.new_process().catalogs.current
    stored = catalog.pins.labels
    assert stored is not None
    free = world.new_process().funnel.recommend_now(ask(user_id=user)).candidates.pins
    code = next(code for code in stored.codes[free, 0] if code >= 0)
    rules = LabelRules((stored.columns[0],), (stored.values[0][code],), 1, ())
    monkeypatch.setattr(LabelRules, "of", lambda policy: rules)
    assert rules.bits(catalog, free).any(), "the user's walk reaches forbidden pins"  # type: ignore[union-attr]
    process = _with(world)
    funnel = process.funnel
    answer = funnel.recommend_now(ask(user_id=user))
    labels = answer.candidates.labels
    assert labels is not None
    assert labels.sum() == 0, "what is forbidden is left out before the cuts of every stage"

    class Broken(DirectStages):
        async def rank(self, *_: Any) -> Any:
            raise RuntimeError("boom")

    stages = Broken(process.sources, process.lightweight, process.full)
    failing = Funnel(stages, process.sources, process.clients, deadline_ms=60_000)
    degraded = asyncio.run(failing.recommend(ask(user_id=user)))
    assert degraded.degraded
    assert degraded.candidates.labels is not None
    assert degraded.candidates.labels[degraded.shown].sum() == 0


def test_seen_and_hidden_pins_do_not_come_back(world: Opened) -> None:
    user, funnel = some_user(world), _with(world, seen_times=2, seen_hours=1.0).funnel
    answers = [funnel.recommend_now(ask(user_id=user, at=NOW + i * 60_000_000)) for i in range(3)]
    shown = [set(a.candidates.pin_ids[a.shown].tolist()) for a in answers]
    assert shown[0] == shown[1]
    assert not shown[0] & shown[2]
    assert not shown[0] & set(answers[2].candidates.pin_ids.tolist())
    later = funnel.recommend_now(ask(user_id=user, at=NOW + 3 * 3_600_000_000))
    assert set(later.candidates.pin_ids[later.shown].tolist()) == shown[0]
    hide = next(iter(shown[0]))
    many = Recents(  # more actions than the walk's sequence keeps: the hidden pin is the oldest of them
        np.array([*range(10**6, 10**6 + 100), hide], object), np.array(["click"] * 100 + ["hide"], object),
        np.array(["homefeed"] * 101, object), NOW - 1_000_000 * np.arange(1, 102),
    )  # fmt: skip
    fresh = _with(world).funnel.recommend_now(ask(user_id=user, recents=many))
    assert hide not in fresh.candidates.pin_ids[fresh.shown].tolist()


def test_the_memory_of_what_was_shown_is_bounded_and_counts() -> None:
    seen = Seen(users=2, answers=2)
    for at in range(4):
        seen.note("a", "u", at, [1, 2] if at < 3 else [2])
    assert seen.often("a", "u", 0, 2).tolist() == [2]
    assert seen.often("a", "u", 3, 1).tolist() == [2]
    assert len(seen.often("b", "u", 0, 1)) == 0
    seen.note("a", "v", 9, [5])
    seen.note("a", "w", 9, [5])
    assert len(seen.often("a", "u", 0, 1)) == 0
    seen.note("a", None, 9, [5])
    assert len(seen.often("a", None, 0, 1)) == 0


def test_labels_are_values_of_pin_columns(world: Opened) -> None:
    rules = LabelRules.of(PolicySettings(forbid={"rating": ("adult",)}, demote={"shop": {"mall": 0.5}}))
    assert (rules.forbidden, rules.demoted) == (1, ((2, 0.5),))
    labels = PinLabels(("rating", "shop"), np.array([[0, -1], [1, 0], [0, 0]], np.int32), (("adult", "x"), ("mall",)))
    catalog = world.new_process().catalogs.current
    catalog = replace(catalog, pins=replace(catalog.pins, labels=labels))
    assert rules.bits(catalog, np.array([2, 0, 1])).tolist() == [3, 1, 2]  # type: ignore[union-attr]
    assert LabelRules.of(PolicySettings()).bits(catalog, np.arange(3)) is None


def test_shared_boards_match_counting_by_hand() -> None:
    graph = Graph.from_edges(np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 2, 3, 3]), 3, 5)
    assert shared_boards(graph, np.array([2, 3, 0, 1, 4])).tolist() == [0, 1, 0, 0, -1]
    assert shared_boards(graph, np.array([3, 2])).tolist() == [1, 1]
    assert len(shared_boards(graph, np.zeros(0, int))) == 0


def test_unknown_keys_columns_and_factors_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "homefeed.yaml"
    for text, message in (
        ("policy: {topic_caps: 3}", "topic_cap"),
        ("policy: {demote: {shop: {mall: 0}}}", "factor"),
        ("topic_cap: 3", "topic_cap"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_client(file)
    client = Client(name="homefeed", policy=PolicySettings(forbid={"rating": ("adult",)}))
    with pytest.raises(ConfigError, match=r"policy\.forbid: 'rating' is not among features\.pin_categorical \(shop\)"):
        check_labels({"homefeed": client}, ("shop",))
    check_labels({"homefeed": client}, ("rating",))
    with pytest.raises(ConfigError, match="at most 62"):
        LabelRules.of(PolicySettings(forbid={"rating": tuple(map(str, range(63)))}))
