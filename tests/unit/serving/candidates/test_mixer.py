"""One table of what several sources found, against a slow twin that goes pin by pin."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.project import Opened
from cluster.settings.clients import Client
from serving.candidates.mixer import mix
from serving.candidates.query import Query
from serving.candidates.stage import CandidatesLogic
from serving.policy.labels import LabelRules
from serving.request.candidates import Candidates
from serving.request.found import FoundPins, Origin, Visits
from tests.worlds.funnel import ask, opened_world, some_user

NAMES = ("walk", "content", "boards")
RULES = LabelRules((), (), 0, ())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def query(world: Opened) -> Query:
    return _query(world, NAMES)


def _query(world: Opened, names: tuple[str, ...], **asked: Any) -> Query:
    """A request of a user with history, to a client with these sources."""
    plain = CandidatesLogic(world.new_process().catalogs, world.clients, 32).query(
        ask(user_id=some_user(world), **asked)
    )
    client = plain.client.model_copy(update={"sources": dict.fromkeys(names)})
    return replace(plain, client=client)


def _found(pins: list[int], queries: int, walk: bool) -> FoundPins:
    n = len(pins)
    visits = Visits(np.arange(n, 0, -1).astype(np.int32), np.ones(n, np.int16), np.ones((n, queries), np.uint32))
    scores = np.arange(n, 0, -1).astype(np.float32)
    return FoundPins(
        np.array(pins, np.int32), scores, Origin("query_pin", np.zeros(n, np.int32)), visits if walk else None
    )


def _slow(query: Query, found: dict[str, list[int]]) -> list[int]:
    """Pins by reciprocal rank fusion, those that may not be shown left out before ranks are counted."""
    free = query.may_show()
    free[query.pins] = False
    kept = {name: [pin for pin in pins if free[pin]] for name, pins in found.items()}
    order: dict[int, float] = {}
    for pins in kept.values():
        for pin in pins:
            order.setdefault(pin, 0.0)
    for pins in kept.values():
        for rank, pin in enumerate(pins):
            order[pin] += 1.0 / (60.0 + rank)
    return sorted(order, key=lambda pin: -round(order[pin], 6))


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_each_pin_comes_once_with_every_sources_rank(query: Query, data: st.DataObject) -> None:
    n_pins = query.catalog.graph.n_pins
    lists = st.lists(st.integers(0, n_pins - 1), max_size=60, unique=True)
    found = {name: data.draw(lists, label=name) for name in NAMES}
    given_ = {name: _found(pins, len(query.pins), name == "walk") for name, pins in found.items()}
    out = mix(query, given_, dict.fromkeys(NAMES, 60), RULES)
    expected = _slow(query, found)
    table = dict(zip(out.pins.tolist(), out.sources.rank.tolist(), strict=True))
    assert len(table) == len(out.pins)
    assert set(expected) <= set(table)
    free = query.may_show()
    assert free[out.pins].all()
    for column, name in enumerate(out.sources.names):
        kept = [pin for pin in found.get(name, []) if pin in set(expected)]
        assert [pin for pin in kept if table[pin][column] != kept.index(pin)] == []
    assert len(out.pins) >= min(query.wanted, int(free.sum()) - len(query.pins))
    assert (np.diff(out.score) <= 1e-9).all()
    walk = out.sources.rank[:, out.sources.names.index("walk")] >= 0
    assert (out.visits[~walk] == 0).all()
    assert (out.visits[walk] > 0).all()
    fused = dict(zip(out.pins.tolist(), out.score.tolist(), strict=True))
    in_order = [pin for pin in out.pins.tolist() if pin in set(expected)]
    assert [round(fused[pin], 5) for pin in in_order] == [round(fused[pin], 5) for pin in expected]


def test_a_walk_alone_keeps_its_order_and_its_visit_counts(world: Opened) -> None:
    query = _query(world, ("walk",))
    free = np.flatnonzero(query.may_show())
    pins = [pin for pin in free.tolist() if pin not in set(query.pins.tolist())][:40]
    out = mix(query, {"walk": _found(pins, len(query.pins), True)}, {"walk": 40}, RULES)
    assert out.pins.tolist() == pins
    assert out.source == "walk"
    assert out.score.tolist() == list(range(40, 0, -1))


def test_popular_pins_stand_behind_what_was_found(world: Opened) -> None:
    query = _query(world, NAMES)
    free = [pin for pin in np.flatnonzero(query.may_show()).tolist() if pin not in set(query.pins.tolist())]
    out = mix(query, {"content": _found(free[:3], 0, False)}, {"content": 3}, RULES)
    assert out.pins[:3].tolist() == free[:3]
    assert len(out.pins) == query.wanted
    assert out.sources.names == ("content", "popular")
    assert out.source == "content+popular"
    assert (out.sources.rank[3:, 1] >= 3).all()


def test_without_any_source_there_are_enough_for_the_ranking(world: Opened) -> None:
    query = _query(world, NAMES)
    out = mix(query, {}, {}, RULES)
    assert out.source == "popular"
    assert len(out.pins) == min(query.client.sizes.lightweight, int(query.may_show().sum()))


def test_pins_that_the_request_brings_are_candidates_of_no_source(world: Opened) -> None:
    plain = _query(world, NAMES)
    barred = set(plain.pins.tolist()) | set(plain.exclude.tolist())
    free = [pin for pin in range(plain.catalog.graph.n_pins) if pin not in barred]
    brought = np.array(free[-2:], np.int32)
    out = mix(replace(plain, also=brought), {"content": _found(free[:30], 0, False)}, {"content": 30}, RULES)
    assert out.pins[-2:].tolist() == brought.tolist()
    assert (out.sources.rank[-2:] == -1).all()


def test_a_table_of_some_candidates_alone_keeps_their_ranks(query: Query) -> None:
    out: Candidates = mix(query, {"content": _found([1, 2, 3, 4, 5, 6], 0, False)}, {"content": 6}, RULES)
    rows = np.array([2, 0])
    part = out.only(rows)
    assert part.sources.rank.tolist() == out.sources.rank[rows].tolist()
    assert part.pins.tolist() == out.pins[rows].tolist()


def test_a_client_names_its_sources() -> None:
    client = Client.model_validate({"name": "x", "sources": {"walk": 300, "content": None, "boards": {"quota": 7}}})
    assert client.quotas == {"walk": 300, "content": 200, "boards": 7}
    assert Client(name="x").quotas == {"walk": Client(name="x").sizes.walk}
