"""Requests computed in threads of their own: the same answers, one that hangs holds up itself only."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.settings.clients import SourceSettings
from serving.candidates.query import Query
from serving.deploy.process import Process
from serving.funnel.funnel import Funnel
from serving.funnel.slots import SlottedFunnel, SlotThreads
from serving.funnel.stages import InPlaceStages
from serving.request.answer import Answer
from serving.request.deadline import Deadline
from serving.request.found import FoundPins
from tests.worlds.funnel import ask, opened_world, some_user

LONG = 60.0


class Gate:
    """Holds up whoever comes to it, until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()

    async def hold(self) -> str:
        """Blocks the whole thread, as compiled code does that is late."""
        self.reached.set()
        self.open.wait(30)
        return threading.current_thread().name


async def _name() -> str:
    return threading.current_thread().name


@pytest.fixture
def slots() -> Iterator[SlotThreads]:
    made = SlotThreads(2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Process:
    world = opened_world(tmp_path_factory.mktemp("world"))
    made = Process(world.project, world.clients)
    made.watcher().poll()
    made.funnel.recommend_now(ask(user_id=some_user(world)))
    return made


def test_a_slot_that_hangs_gets_nothing_until_it_is_back(slots: SlotThreads) -> None:
    gate = Gate()

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slots.run(gate.hold), 0.2)
        others = {await slots.run(_name) for _ in range(6)}
        assert len(others) == 1, "all went to the thread that is free"
        gate.open.set()
        for _ in range(1000):
            both = await asyncio.gather(slots.run(_pause), slots.run(_pause))
            if len(set(both)) == 2:
                return
        raise AssertionError("the thread that was held is never used again")

    asyncio.run(run())


async def _pause() -> str:
    await asyncio.sleep(0.005)
    return threading.current_thread().name


def test_work_that_was_given_up_before_it_began_is_forgotten() -> None:
    slots = SlotThreads(1)
    gate = Gate()

    async def run() -> None:
        holding = asyncio.create_task(slots.run(gate.hold))
        while not gate.reached.is_set():
            await asyncio.sleep(0.01)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(slots.run(_name), 0.05)
        assert slots._busy == [4]
        gate.open.set()
        assert await holding == "slot-0"
        while slots._busy != [0]:
            await asyncio.sleep(0.01)

    try:
        asyncio.run(asyncio.wait_for(run(), 60))
    finally:
        gate.open.set()
        slots.close()


def test_whoever_gives_up_takes_the_work_back(slots: SlotThreads) -> None:
    told: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    async def run() -> None:
        task = asyncio.create_task(slots.run(endless))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not told:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_what_the_work_raises_is_the_callers(slots: SlotThreads) -> None:
    async def fail() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        asyncio.run(slots.run(fail))


def _slotted(process: Process, slots: SlotThreads) -> SlottedFunnel:
    stages = InPlaceStages(process.sources, process.lightweight, process.full)
    return SlottedFunnel(Funnel(stages, process.sources, process.clients, 1e3 * LONG), slots)


def test_answers_are_those_of_direct_calls(process: Process, slots: SlotThreads) -> None:
    funnel = _slotted(process, slots)
    asked = [ask(user_id=user, seed=user) for user in range(8)]

    async def run() -> list[Answer]:
        return await asyncio.gather(*(funnel.recommend(one, deadline=Deadline.after(LONG)) for one in asked))

    for one, answer in zip(asked, asyncio.run(run()), strict=True):
        direct = process.funnel.recommend_now(one)
        assert answer.candidates.pin_ids[answer.shown].tolist() == direct.candidates.pin_ids[direct.shown].tolist()
        assert not answer.faults


def test_an_answer_leaves_by_its_deadline_though_its_slot_hangs(process: Process, slots: SlotThreads) -> None:
    gate = Gate()

    class Stuck(InPlaceStages):
        async def rank(self, *_: Any) -> Any:
            await gate.hold()

    stages = Stuck(process.sources, process.lightweight, process.full)
    funnel = SlottedFunnel(Funnel(stages, process.sources, process.clients, 1e3 * LONG), slots)
    began = time.perf_counter()
    try:
        answer = asyncio.run(
            funnel.recommend(ask(user_id=1), deadline=Deadline.after(1.0), faults=(("events", "stale", "old"),))
        )
        assert gate.reached.is_set()
        assert time.perf_counter() - began < 20, "it did not wait for the gate"
    finally:
        gate.open.set()
    assert answer.faults[:2] == ["events: old", "request: no stage answered within the deadline"]
    assert answer.candidates.source == "popular"
    assert len(answer.shown) == 25


def test_a_source_that_waits_begins_before_those_that_compute(tmp_path: Path) -> None:
    world = opened_world(tmp_path)
    names = {"walk": SourceSettings(quota=50), "popular": SourceSettings(quota=50)}
    client = world.clients["homefeed"].model_copy(update={"sources": names})
    process = Process(world.project, {"homefeed": client})
    process.watcher().poll()
    begun = threading.Event()
    waiting = process.sources._of.of(ask()).sources["popular"]
    computing = process.sources._of.of(ask()).sources["walk"]
    waiting.in_place = False
    found, order = waiting.generate, []

    def wait(query: Query, budget: int, deadline: Deadline) -> FoundPins:
        begun.set()
        return found(query, budget, deadline)

    walk = computing.generate

    def compute(query: Query, budget: int, deadline: Deadline) -> FoundPins:
        order.append(begun.wait(20))
        return walk(query, budget, deadline)

    waiting.generate = wait  # type: ignore[method-assign]
    computing.generate = compute  # type: ignore[method-assign]
    stages = InPlaceStages(process.sources, process.lightweight, process.full)
    funnel = Funnel(stages, process.sources, process.clients, 1e3 * LONG)
    answer = asyncio.run(funnel.recommend(ask(user_id=1)))
    assert order == [True]
    assert not answer.faults
    assert set(answer.candidates.sources.found) == {"walk", "popular"}
