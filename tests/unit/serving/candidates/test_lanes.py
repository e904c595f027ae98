"""A source's own threads: a hanging one is refused at once, and comes back when its threads do."""

import asyncio
import threading

import pytest

from serving.candidates.lanes import Lane, SourceStuckError


def test_a_stuck_source_is_refused_without_waiting_and_recovers() -> None:
    lane, release = Lane("slow", threads=2), threading.Event()

    async def scene() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(lane.call(release.wait), 0.05)
        with pytest.raises(SourceStuckError, match="all 2 threads"):
            await lane.call(lambda: 1)
        release.set()
        while lane._given_up:
            await asyncio.sleep(0.01)
        assert await lane.call(lambda: 7) == 7

    asyncio.run(scene())


def test_calls_that_never_began_are_not_counted_as_stuck() -> None:
    lane, release = Lane("slow", threads=1), threading.Event()

    async def scene() -> None:
        held = asyncio.create_task(lane.call(release.wait))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lane.call(lambda: 1), 0.05)
        assert lane._given_up == 0
        release.set()
        assert await held

    asyncio.run(scene())


def test_what_a_source_raises_reaches_the_caller() -> None:
    lane = Lane("broken")

    def work() -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        asyncio.run(lane.call(work))
