"""Each source killed, slowed and broken by turns: every answer stands, says what it lacks, and shows no barred pin."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from apps.project import Opened
from cluster.settings.clients import SourceSettings
from serving.candidates.generator import CandidateGenerator
from serving.candidates.query import Query
from serving.deploy.process import Process
from serving.funnel.funnel import Funnel
from serving.funnel.runner import Outcome, Reason
from serving.funnel.stages import InPlaceStages
from serving.request.answer import Answer
from serving.request.deadline import Deadline
from serving.request.found import FoundPins
from tests.worlds.funnel import ask, opened_world, some_user
from tests.worlds.services import handler_of, send, served

NAMES = ("walk", "similar", "boards", "content", "recent", "popular", "external")
SETTINGS = {"recent": {"hours": 24.0 * 3650}}  # of the toy world everything is new
AT_ONCE = 6
PATIENT_MS = 60_000.0
LATE_MS = 300.0

Generate = Callable[[Query, int, Deadline], Any]


class Told:
    """How often each stage ended in each way."""

    def __init__(self) -> None:
        self.times: dict[tuple[str, Outcome], int] = {}

    def stage_ended(self, client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
        self.times[stage, outcome] = self.times.get((stage, outcome), 0) + 1

    def noted(self, client: str, stage: str, reason: Reason) -> None:
        pass


class Sources:
    """All sources that ship at one client, of which one may be told to work otherwise."""

    def __init__(self, world: Opened, url: str) -> None:
        self._world = world
        self._url = url
        self.user = some_user(world)

    def process(self, slow: str = "") -> Process:
        """`slow` is waited for no longer than LATE_MS, the others as long as it takes."""
        entries = {}
        for name in NAMES:
            given = {"url": self._url, "timeout_ms": PATIENT_MS} if name == "external" else SETTINGS.get(name, {})
            late = LATE_MS if name == slow else None
            entries[name] = SourceSettings(quota=150, settings=given, timeout_ms=late)
        client = self._world.clients["homefeed"].model_copy(update={"sources": entries})
        return Process(self._world.project, {"homefeed": client})

    def answers(self, name: str, work: Generate | None, told: Told, slow: bool = False) -> list[Answer]:
        """Several requests at once, through threads, while source `name` does `work` (None: its own)."""
        process = self.process(name if slow else "")
        logic = process.sources
        if work is not None:
            _hand(source_of(process, name), work)
        stages = InPlaceStages(logic, process.lightweight, process.full)
        funnel = Funnel(stages, logic, process.clients, PATIENT_MS, observer=told)

        async def all_of_them() -> list[Answer]:
            asks = [ask(user_id=self.user, seed=seed, exclude=(1, 2, 3)) for seed in range(AT_ONCE)]
            return list(await asyncio.gather(*(funnel.recommend(one) for one in asks)))

        return asyncio.run(all_of_them())


def source_of(process: Process, name: str) -> CandidateGenerator:
    """What the process asks for pins of that name."""
    return process.sources._of.of(ask()).sources[name]


def _hand(source: CandidateGenerator, work: Generate) -> None:
    source.generate = work  # type: ignore[method-assign]
    source.in_place = False  # nobody says of it that it is quick


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    world = opened_world(tmp_path_factory.mktemp("world"))
    graph = world.new_process().catalogs.current.graph
    every_other = graph.pin_ids.ids_of(np.arange(0, graph.n_pins, 2)).tolist()
    body = json.dumps({"pins": [{"pin_id": pin, "score": 1.0} for pin in every_other]}).encode()
    with served(handler_of(lambda http, _: send(http, body))) as url:
        made = Sources(world, url)
        made.process().funnel.recommend_now(ask(user_id=made.user))  # compiles, however long it takes
        yield made


def _check(answers: list[Answer], reason: str, name: str) -> None:
    """Whole answers without a barred pin; the other sources all there, the broken one named."""
    for answer in answers:
        assert len(answer.shown) == 25
        barred = {
            *answer.candidates.query_ids.tolist(),
            *answer.candidates.sequence.pin_ids.tolist(),
            1,
            2,
            3,
        }
        assert not barred & set(answer.candidates.pin_ids[answer.shown].tolist())
        assert len(set(answer.shown.tolist())) == 25
        assert [fault for fault in answer.faults if fault.startswith(f"{name}:")] == answer.faults
        assert bool(answer.faults) == bool(reason)
        assert reason in answer.degraded
        found = answer.candidates.sources.found
        lost = {name} if reason else set()
        assert {other for other in NAMES if found.get(other, 0)} | {"popular"} >= set(NAMES) - lost


def test_all_sources_together_leave_nothing_out(sources: Sources) -> None:
    told = Told()
    _check(sources.answers("walk", None, told), "", "walk")
    assert {(name, "done") for name in NAMES} <= set(told.times)
    assert all(outcome == "done" for _, outcome in told.times)


def _raise(query: Query, budget: int, deadline: Deadline) -> FoundPins:
    raise RuntimeError("boom")


def _outside(query: Query, budget: int, deadline: Deadline) -> FoundPins:
    return FoundPins(np.array([10**6], np.int32), np.ones(1, np.float32))


def _no_numbers(query: Query, budget: int, deadline: Deadline) -> FoundPins:
    return FoundPins(np.array([1, 2], np.int32), np.array([np.nan, 1.0], np.float32))


def _not_pins(query: Query, budget: int, deadline: Deadline) -> Any:
    return {"pins": [1, 2, 3]}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (_raise, "RuntimeError: boom"),
        (_outside, "a source gave a pin index"),
        (_no_numbers, "a source gave a pin whose score is not a number"),
        (_not_pins, "AttributeError"),
    ],
    ids=["raises", "outside", "nan", "no pins"],
)
def test_a_broken_source_costs_the_answer_that_source_only(
    sources: Sources, name: str, work: Generate, reason: str
) -> None:
    told = Told()
    _check(sources.answers(name, work, told), f"{name}: {reason}", name)
    assert told.times[name, "failed"] == AT_ONCE
    assert [stage for stage, outcome in told.times if outcome != "done"] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_a_source_that_hangs_is_not_waited_for(sources: Sources, name: str) -> None:
    over = threading.Event()

    def hang(query: Query, budget: int, deadline: Deadline) -> FoundPins:
        over.wait(30)
        return FoundPins.nothing()

    told = Told()
    try:
        answers = sources.answers(name, hang, told, slow=True)
    finally:
        over.set()
    _check(answers, f"{name}: not done within its 300 ms", name)
    assert told.times[name, "late"] == AT_ONCE
    assert [stage for stage, outcome in told.times if outcome != "done"] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_source_should_not_have_found_is_not_shown(sources: Sources, name: str) -> None:
    def barred(query: Query, budget: int, deadline: Deadline) -> FoundPins:
        pins = np.unique(np.concatenate([query.exclude, query.pins])).astype(np.int32)
        assert len(pins)
        return FoundPins(pins, np.full(len(pins), 1e9, np.float32))

    told = Told()
    answers = sources.answers(name, barred, told)
    for answer in answers:
        assert answer.faults == []
        barred_ids = {*answer.candidates.query_ids.tolist(), *answer.candidates.sequence.pin_ids.tolist(), 1, 2, 3}
        assert not barred_ids & set(answer.candidates.pin_ids.tolist())
        assert len(answer.shown) == 25


def test_every_source_broken_at_once_is_answered_with_popular_pins(sources: Sources) -> None:
    process = sources.process()
    for name in NAMES:
        _hand(source_of(process, name), _raise)
    told = Told()
    stages = InPlaceStages(process.sources, process.lightweight, process.full)
    funnel = Funnel(stages, process.sources, process.clients, PATIENT_MS, observer=told)
    answer = asyncio.run(funnel.recommend(ask(user_id=sources.user)))
    assert answer.faults == [f"{name}: RuntimeError: boom" for name in NAMES]
    assert answer.candidates.source == "popular"
    assert len(answer.shown) == 25


def test_a_new_user_is_answered_by_the_sources_that_need_no_action(sources: Sources) -> None:
    answer = sources.process().funnel.recommend_now(ask(user_id=999_999_999))
    assert answer.degraded == ""
    assert len(answer.shown) == 25
    found = answer.candidates.sources.found
    assert {name for name in NAMES if found.get(name, 0)} == {"recent", "popular", "external"}
