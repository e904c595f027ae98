"""The walk behind a handle for each part: as in one process, and marked where a part does not answer in time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from ray.serve.exceptions import BackPressureError

from apps.project import Opened, open_project
from cluster.catalog.build import build_catalog
from cluster.errors import BundleError
from cluster.settings.project import GraphSettings
from cluster.walk.sharded import ShardedWalker
from serving.candidates.query import Query
from serving.candidates.sources.walk import locale_range, params_of
from serving.candidates.stage import CandidatesLogic
from serving.candidates.walk_part import part_names
from serving.deploy.process import Process
from serving.deploy.replicas import source_settings
from serving.deploy.scattered import ScatteredWalk
from serving.funnel.funnel import Funnel
from serving.funnel.stages import DirectStages, Overloaded
from serving.request.deadline import Deadline
from serving.request.found import FoundPins
from tests.worlds.funnel import ask, some_user
from tests.worlds.toy import toy_project

SHARDS = 3
NAMES = ["walk-1", "walk-2", "walk-3"]
BUDGET = 300


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    made = open_project(toy_project(tmp_path_factory.mktemp("parts"), settings={"graph": {"shards": SHARDS}}))
    build_catalog(made.project, made.new_process().store, in_memory=True)
    return made


@pytest.fixture(scope="module")
def process(opened: Opened) -> Process:
    made = opened.new_process()
    made.sources.load(str(made.store.current("graph")))
    return made


@pytest.fixture(scope="module")
def parts(opened: Opened) -> list[CandidatesLogic]:
    """What each of the walk's deployments holds."""
    made = []
    for at in range(SHARDS):
        having = {
            name: client.model_copy(update={"sources": {"walk": source_settings(client.sources["walk"], at)}})
            for name, client in opened.clients.items()
        }
        logic = Process(opened.project, having, (at,)).sources
        logic.load(str(opened.new_process().store.current("graph")))
        made.append(logic)
    return made


Call = Callable[..., Awaitable[FoundPins]]


class Handle:
    """A deployment's, in this process."""

    def __init__(self, call: Call):
        self.generate = self
        self.remote = call


def alive(logic: CandidatesLogic) -> Call:
    async def call(asked: Any, version: str, budget: int, seconds: float) -> FoundPins:
        return logic.generate("walk", logic.query(asked, version), budget, Deadline.after(seconds))

    return call


async def dead(*_: Any) -> FoundPins:
    raise RuntimeError("the actor died")


async def busy(*_: Any) -> FoundPins:
    raise BackPressureError(256, 256)


async def hangs(*_: Any) -> FoundPins:
    await asyncio.sleep(3600)
    raise AssertionError


def scattered(*calls: Call) -> ScatteredWalk:
    handles: Any = dict(zip(NAMES, map(Handle, calls), strict=True))
    return ScatteredWalk(handles)


def query_of(opened: Opened, process: Process, client: str = "homefeed") -> Query:
    return process.sources.query(ask(client, user_id=some_user(opened)))


def found_in(walk: ScatteredWalk, query: Query, budget: int = BUDGET, seconds: float = 60.0) -> FoundPins:
    return asyncio.run(walk.generate(query, budget, seconds))


@pytest.mark.parametrize("budget", [BUDGET, 40, 5_000])
def test_deployments_of_parts_find_what_one_process_with_all_finds(
    opened: Opened, process: Process, parts: list[CandidatesLogic], budget: int
) -> None:
    query = query_of(opened, process)
    whole = process.sources.generate("walk", query, budget, Deadline.after(60))
    found = found_in(scattered(*map(alive, parts)), query, budget).checked(query.catalog.graph.n_pins, budget)
    assert found.lacks == whole.lacks == ""
    assert len(found.pins) == len(whole.pins) <= budget
    np.testing.assert_array_equal(found.pins, whole.pins)
    np.testing.assert_array_equal(found.score, whole.score)
    np.testing.assert_array_equal(found.origin.of, whole.origin.of)
    assert found.visits is not None
    assert whole.visits is not None
    np.testing.assert_array_equal(found.visits.by_query, whole.visits.by_query)


def test_that_is_what_the_walker_over_shards_finds(opened: Opened, process: Process) -> None:
    query = query_of(opened, process)
    graph = query.catalog.graph
    assert len(graph.parts) == SHARDS
    found = process.sources.generate("walk", query, BUDGET, Deadline.after(60))
    walked = ShardedWalker(graph, graph.parts).walk_indices(
        query.pins,
        query.weight,
        params=params_of(query, BUDGET),
        seed=query.ask.seed,
        exclude=query.exclude,
        bias=locale_range(query),
    )
    np.testing.assert_array_equal(found.pins, walked.pins)
    np.testing.assert_array_equal(found.score, walked.scores)


@pytest.mark.parametrize("fault", [dead, busy, hangs])
def test_without_one_part_the_others_answer_and_it_is_told(
    opened: Opened, process: Process, parts: list[CandidatesLogic], fault: Call
) -> None:
    query = query_of(opened, process)
    one, _, three = map(alive, parts)
    found = found_in(scattered(one, fault, three), query, seconds=0.5 if fault is hangs else 60.0)
    assert found.lacks == "1 of 3 shards did not answer: walk-2"
    assert 0 < len(found.pins) <= BUDGET
    whole = process.sources.generate("walk", query, BUDGET, Deadline.after(60))
    assert found.visits is not None
    assert whole.visits is not None
    assert found.visits.visits.sum() < whole.visits.visits.sum()


def test_without_any_part_there_is_no_answer_of_the_walk(opened: Opened, process: Process) -> None:
    query = query_of(opened, process)
    with pytest.raises(RuntimeError, match="the actor died"):
        found_in(scattered(dead, hangs, dead), query, seconds=0.05)
    with pytest.raises(TimeoutError):
        found_in(scattered(hangs, hangs, hangs), query, seconds=0.05)
    with pytest.raises(Overloaded):
        found_in(scattered(dead, busy, busy), query)


def test_an_answer_that_lacks_a_part_is_degraded_and_counted(
    opened: Opened, process: Process, parts: list[CandidatesLogic]
) -> None:
    class Stages(DirectStages):
        async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
            if source == "walk":
                return await walk.generate(query, budget, seconds)
            return await super().generate(source, query, budget, seconds)

    class Observer:
        noted_of: list[tuple[str, ...]] = []

        def stage_ended(self, *_: Any) -> None: ...

        def noted(self, *told: str) -> None:
            self.noted_of.append(told)

    one, _, three = map(alive, parts)
    walk = scattered(one, dead, three)
    stages = Stages(process.sources, process.lightweight, process.full)
    funnel = Funnel(stages, process.sources, opened.clients, 60_000, observer=Observer())
    answer = asyncio.run(funnel.recommend(ask(user_id=some_user(opened)), explain=True))
    assert answer.faults == ["walk: 1 of 3 shards did not answer: walk-2"]
    assert ("homefeed", "walk", "shards") in Observer.noted_of
    assert answer.candidates.source == "walk"
    assert len(answer.shown) == opened.clients["homefeed"].sizes.answer
    walk = scattered(*map(alive, parts))
    assert asyncio.run(funnel.recommend(ask(user_id=some_user(opened)))).degraded == ""


def test_a_walk_of_somebody_else_s_is_not_scattered(opened: Opened) -> None:
    clients = list(opened.clients.values())
    assert part_names(clients, SHARDS) == NAMES
    assert part_names(clients, 1) == []
    own = clients[0].sources["walk"].model_copy(update={"use": "own.module:Walk"})
    assert part_names([clients[0].model_copy(update={"sources": {"walk": own}})], SHARDS) == []


def test_a_graph_in_other_parts_than_the_settings_say_does_not_serve(opened: Opened) -> None:
    settings = opened.project.model_copy(update={"graph": GraphSettings(shards=2)})
    process = Process(settings, opened.clients)
    version = str(process.store.current("graph"))
    with pytest.raises(BundleError, match=r"has 3 shards and pinfunnel.yaml says `graph: \{shards: 2\}`.*build-graph"):
        process.sources.load(version)
    assert process.catalogs.serving is None
    older = Process(settings, opened.clients).catalogs.get(version)  # of a logged request, say
    assert len(older.graph.parts) == SHARDS
