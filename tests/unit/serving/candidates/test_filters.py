"""A request's filter in every source of candidates: the walk, popular pins behind it and alone, and pins it brings."""

import pickle

import numpy as np
import pytest

from apps.project import Opened
from cluster.attributes.filters import Between, Conjunction, Filter, HasValue, Negation, TextAmong
from cluster.errors import BundleError
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from tests.worlds.filters import filtered_world
from tests.worlds.funnel import ask, some_user

RARE = Conjunction((Between("image_quality", low=0.7), Negation(TextAmong("format", ("photo",)))))
FILTERS: list[Filter] = [
    Negation(HasValue("domain")),
    Between("image_quality", low=0.5, above=True),
    RARE,
    Between("image_quality", low=2.0),
    TextAmong("locale", ("en", "de")),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return filtered_world(tmp_path_factory.mktemp("world"))


def found(world: Opened, source: str, question: WalkAsk) -> Candidates:
    """Of the walk, or of popular pins alone."""
    stage = world.new_process().sources
    return stage.candidates(question) if source == "walk" else stage.mixed(stage.query(question), {}, {})


@pytest.mark.parametrize("asked", FILTERS, ids=str)
@pytest.mark.parametrize("source", ["walk", "popular"])
def test_a_source_has_matching_pins_only_and_as_many_as_the_ranking_wants(
    world: Opened, source: str, asked: Filter
) -> None:
    catalog = world.new_process().catalogs.current
    mask = catalog.attributes.matching(asked)
    sizes = world.clients["homefeed"].sizes
    for user in (some_user(world), 999_999_999):
        plain = found(world, source, ask(user_id=user))
        some = found(world, source, ask(user_id=user, filter=asked))
        assert mask[some.pins].all()
        assert len(np.unique(some.pins)) == len(some.pins)
        may = np.flatnonzero(mask & ~np.isin(np.arange(len(mask)), _left_out(world, user, plain)))
        assert len(some.pins) >= min(len(may), sizes.lightweight)
        if some.source.startswith("walk"):
            order = [pin for pin in plain.pins[plain.visits > 0].tolist() if mask[pin]]
            assert some.pins[some.visits > 0].tolist() == order, "the same walk, without the others"


def _left_out(world: Opened, user: int, plain: Candidates) -> np.ndarray:
    catalog = world.new_process().catalogs.current
    acted = catalog.graph.pin_ids.index_of(catalog.users.row(user).pin_ids)
    return np.concatenate([acted, plain.query_pins])


def test_pins_that_the_request_brings_must_match_too(world: Opened) -> None:
    catalog = world.new_process().catalogs.current
    mask = catalog.attributes.matching(RARE)
    assert 0 < mask.sum() < len(mask)
    matching, other = np.flatnonzero(mask)[-1], np.flatnonzero(~mask)[-1]
    brought = tuple(catalog.graph.pin_ids.ids_of([matching, other]).tolist())
    user = some_user(world)
    plain = world.new_process().sources.candidates(ask(user_id=user, also=brought))
    assert {matching, other} <= set(plain.pins.tolist())
    some = world.new_process().sources.candidates(ask(user_id=user, also=brought, filter=RARE))
    assert matching in some.pins
    assert other not in some.pins


def test_a_filter_travels_between_processes(world: Opened) -> None:
    question = ask(user_id=some_user(world), filter=RARE)
    there = pickle.loads(pickle.dumps(question))
    assert (there.filter, hash(there.filter)) == (RARE, hash(RARE))
    stage = world.new_process().sources
    assert np.array_equal(stage.candidates(there).pins, stage.candidates(question).pins)


@pytest.mark.parametrize("source", ["walk", "popular"])
def test_an_attribute_that_the_graph_lacks_is_an_error_of_every_source(world: Opened, source: str) -> None:
    with pytest.raises(BundleError, match=r"no attribute 'colour' .* build the graph again"):
        found(world, source, ask(filter=HasValue("colour")))
