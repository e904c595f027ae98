"""Every source that ships: only pins that may be shown, as many as there are, and the scores of a slow twin."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from apps.project import Opened
from cluster.attributes.filters import Between
from cluster.settings.clients import Client, SourceSettings
from serving.candidates.generator import REGISTRY, CandidateGenerator, make_generator
from serving.candidates.query import Query
from serving.candidates.sources.boards import BoardOptions
from serving.candidates.sources.similar import measured
from serving.candidates.stage import CandidatesLogic
from serving.request.deadline import Deadline
from serving.request.found import FoundPins
from tests.worlds.filters import filtered_world
from tests.worlds.funnel import ask, some_user

NOBODY = 999_999_999
OLD = 24.0 * 3650  # hours: of the toy world everything is new
ENDLESS = Deadline(float("inf"))
IN_PROCESS = sorted(set(REGISTRY) - {"external"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return filtered_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def stage(world: Opened) -> CandidatesLogic:
    return CandidatesLogic(world.new_process().catalogs, world.clients, 32)


def _source(name: str, **settings: Any) -> CandidateGenerator:
    return make_generator(Client(name="homefeed"), name, SourceSettings(settings=settings))


def _found(
    stage: CandidatesLogic, name: str, budget: int = 50, user: int | None = None, **asked: Any
) -> tuple[Query, FoundPins]:
    query = stage.query(ask(user_id=user, **asked))
    source = _source(name, **({"hours": OLD} if name == "recent" else {}))
    source.prepare(query.catalog)
    return query, source.generate(query, budget, ENDLESS).checked(query.catalog.graph.n_pins, budget)


@pytest.mark.parametrize("name", IN_PROCESS)
@pytest.mark.parametrize("narrow", [None, Between("image_quality", low=0.6)])
def test_only_pins_that_may_be_shown_and_as_many_as_there_are(
    world: Opened, stage: CandidatesLogic, name: str, narrow: Between | None
) -> None:
    user = some_user(world)
    query, plain = _found(stage, name, 10_000, user)
    barred = tuple(query.catalog.graph.pin_ids.ids_of(plain.pins[:5]).tolist())
    query, found = _found(stage, name, 10_000, user, exclude=barred, filter=narrow)
    may = query.may_show()
    assert not may[query.pins].any()
    assert may[found.pins].all()
    assert set(found.pins.tolist()) <= set(plain.pins.tolist()) or name in ("walk", "boards")
    left = [pin for pin in plain.pins.tolist() if may[pin]]
    assert set(left) <= set(found.pins.tolist()), "what is barred makes room for the rest"
    small = _found(stage, name, 7, user, exclude=barred, filter=narrow)[1]
    assert len(small.pins) == min(7, len(found.pins))
    assert small.pins.tolist() == found.pins[:7].tolist(), "a larger budget only adds"
    assert np.isfinite(small.score).all()


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_user_and_a_request_of_which_nothing_is_known_break_nothing(stage: CandidatesLogic, name: str) -> None:
    for user in (None, NOBODY):
        _, found = _found(stage, name, 20, user)
        assert len(found.pins) <= 20


def test_new_users_get_answers_from_the_sources_that_need_no_action(stage: CandidatesLogic) -> None:
    having = {name for name in IN_PROCESS if len(_found(stage, name, 20, NOBODY)[1].pins)}
    assert {"popular", "recent"} <= having


def test_similar_scores_are_summed_weights(world: Opened, stage: CandidatesLogic) -> None:
    query, found = _found(stage, "similar", 30, some_user(world))
    table = measured(query.catalog.similarity, "linear")
    assert table is not None
    liked = {name for name, weight in query.client.query.actions.items() if weight > 0}
    row = query.catalog.users.row(query.ask.user_id)
    pins = {int(p) for p, a in zip(row.pins, row.actions, strict=True) if a in liked} | set(query.pins.tolist())
    expected: dict[int, float] = {}
    for pin in pins:
        for other, weight in zip(table.ids[pin].tolist(), table.weights[pin].tolist(), strict=True):
            if other >= 0:
                expected[other] = expected.get(other, 0.0) + weight
    assert len(found.pins) == 30
    assert found.score == pytest.approx([expected[pin] for pin in found.pins.tolist()], rel=1e-4)
    free = query.may_show()
    best = sorted((w for p, w in expected.items() if free[p]), reverse=True)[:30]
    assert found.score == pytest.approx(best, rel=1e-4)
    assert set(found.origin.of.tolist()) <= set(range(-1, len(query.pins)))


def test_a_like_that_was_hidden_later_counts_for_nothing(world: Opened, stage: CandidatesLogic) -> None:
    user = some_user(world)
    query, before = _found(stage, "similar", 4_000, user)
    table = measured(query.catalog.similarity, "linear")
    assert table is not None
    hated = int(query.pins[0])  # a like, as every query pin of a user is
    told = dict(zip(table.ids[hated].tolist(), table.weights[hated].tolist(), strict=True))
    hidden = tuple(query.catalog.graph.pin_ids.ids_of(np.array([hated], np.int32)).tolist())
    _, after = _found(stage, "similar", 4_000, user, hidden=hidden)
    scores = dict(zip(after.pins.tolist(), after.score.tolist(), strict=True))
    assert set(told) & set(before.pins.tolist())
    for pin, score in zip(before.pins.tolist(), before.score.tolist(), strict=True):
        left = max(score - told.get(pin, 0.0), 0.0)  # what sums to nothing is not found
        assert scores.get(pin, 0.0) == pytest.approx(left, rel=1e-4, abs=1e-5)


def test_boards_scores_are_those_of_the_nearest_boards(world: Opened, stage: CandidatesLogic) -> None:
    query, found = _found(stage, "boards", 40, some_user(world))
    graph, options = query.catalog.graph, BoardOptions()

    def boards_of(pin: int) -> np.ndarray:
        return np.asarray(graph.pin_boards[graph.pin_offsets[pin] : graph.pin_offsets[pin + 1]])

    near: dict[int, float] = {}
    for pin, weight in zip(query.pins.tolist(), query.weight.tolist(), strict=True):
        for board in boards_of(pin).tolist():
            near[board] = near.get(board, 0.0) + weight
    ranked = sorted(near, key=lambda b: -near[b] / len(graph.pins_of(b)) ** options.size_power)[: options.boards]
    score: dict[int, float] = {}
    for board in ranked:
        for pin in graph.pins_of(board).tolist():
            score[pin] = score.get(pin, 0.0) + near[board] / len(graph.pins_of(board)) ** options.size_power
    expected = {pin: s / len(boards_of(pin)) ** options.pin_power for pin, s in score.items()}
    assert found.score == pytest.approx([expected[pin] for pin in found.pins.tolist()], rel=1e-3)
    for pin, board in zip(found.pins.tolist(), found.origin.of.tolist(), strict=True):
        assert pin in graph.pins_of(board)


def test_content_is_near_by_topics_where_there_are_no_vectors(world: Opened, stage: CandidatesLogic) -> None:
    query, found = _found(stage, "content", 40, some_user(world))
    topics = query.catalog.pins.topics
    asked = topics[query.pins[:5]]
    cosine = (topics @ asked[asked.any(axis=1)].T).max(axis=1)
    assert found.score == pytest.approx(cosine[found.pins], rel=1e-5)
    free = query.may_show()
    assert found.score == pytest.approx(np.sort(cosine[free])[::-1][:40], rel=1e-5)


@pytest.mark.parametrize("hours", [24.0, 24.0 * 20, OLD])
def test_recent_has_every_new_pin_and_no_other(world: Opened, stage: CandidatesLogic, hours: float) -> None:
    query = stage.query(ask(user_id=some_user(world)))
    found = _source("recent", hours=hours, explore=1.0).generate(query, 100_000, ENDLESS)
    age = (query.ask.at - query.catalog.attributes.numbers["created_at"]) / 3.6e9
    with np.errstate(invalid="ignore"):
        new = query.may_show() & (age >= 0) & (age < hours)
    new &= np.isin(query.catalog.pins.locale, [-1, query.locale])
    assert np.sort(found.pins).tolist() == np.flatnonzero(new).tolist()


def test_recent_pins_are_new_and_of_the_users_locale(world: Opened, stage: CandidatesLogic) -> None:
    query, found = _found(stage, "recent", 40, some_user(world))
    created = query.catalog.attributes.numbers["created_at"][found.pins]
    age = (query.ask.at - created) / 3.6e9
    assert len(found.pins)
    assert ((age >= 0) & (age < OLD)).all()
    locale = query.catalog.pins.locale[found.pins]
    assert set(locale.tolist()) <= {query.locale, -1}
    small = _found(stage, "recent", 15, some_user(world))[1]
    assert small.pins.tolist() == found.pins[:15].tolist(), "a larger budget only adds"
    other = replace(query, ask=replace(query.ask, seed=8))
    again = _source("recent", hours=OLD).generate(other, 40, ENDLESS)
    assert 24 <= len(set(again.pins.tolist()) & set(found.pins.tolist())) < 40, "a fifth is drawn anew"
