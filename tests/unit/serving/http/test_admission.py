"""Turns: at most so many at a time, in order of arrival, refused where the wait would be too long."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.admission import Admission, Busy
from serving.request.deadline import Deadline


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def work(
    admission: Admission, clock: Clock, log: list[str], name: str, seconds: float = 10.0
) -> Callable[[asyncio.Event], Awaitable[None]]:
    async def run(done: asyncio.Event) -> None:
        try:
            async with admission.turn(Deadline.after(seconds, clock)):
                log.append(f"{name} began")
                await done.wait()
        except Busy as error:
            log.append(f"{name} {error}")

    return run


def test_turns_come_in_order_and_slots_bound_them() -> None:
    async def scenario() -> None:
        clock, log = Clock(), []  # type: ignore[var-annotated]
        admission = Admission(2, 60.0)
        done = [asyncio.Event() for _ in range(4)]
        tasks = [asyncio.create_task(work(admission, clock, log, str(i))(done[i])) for i in range(4)]  # type: ignore[arg-type]
        await settle()
        assert log == ["0 began", "1 began"]
        assert admission.waiting == 2
        done[1].set()
        await settle()
        assert log[-1] == "2 began"
        for event in done:
            event.set()
        await asyncio.gather(*tasks)
        assert log[-1] == "3 began"
        assert admission.waiting == 0
        assert admission.expected_wait() == 0

    asyncio.run(scenario())


def test_a_wait_that_is_too_long_is_refused_at_once() -> None:
    refused: list[str] = []

    async def scenario() -> None:
        clock, log = Clock(), []  # type: ignore[var-annotated]
        admission = Admission(1, 0.06, refused.append)
        first, rest = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(work(admission, clock, log, "slow")(first))]  # type: ignore[arg-type]
        await settle()
        clock.now = 2.0  # it takes two seconds: the mean of the seconds of work is 0.218 then
        first.set()
        await asyncio.gather(*tasks)
        tasks = [asyncio.create_task(work(admission, clock, log, str(i))(rest)) for i in range(3)]  # type: ignore[arg-type]
        await settle()
        assert log[1:] == ["0 began", "2 too many requests at once; try again"]  # one a slot may wait, however long
        rest.set()
        await asyncio.gather(*tasks)
        assert log[-1] == "1 began"

    asyncio.run(scenario())
    assert refused == ["full"]


def test_what_is_late_before_its_turn_is_never_computed() -> None:
    refused: list[str] = []

    async def scenario() -> None:
        clock, log = Clock(), []  # type: ignore[var-annotated]
        admission = Admission(1, 60.0, refused.append)
        done = asyncio.Event()
        names = {"a": 10.0, "late": 0.5, "b": 10.0}
        tasks = [asyncio.create_task(work(admission, clock, log, n, s)(done)) for n, s in names.items()]  # type: ignore[arg-type]
        await settle()
        clock.now = 1.0
        done.set()
        await asyncio.gather(*tasks)
        assert log[0] == "a began"
        assert sorted(log[1:]) == ["b began", "late the deadline passed before it was this request's turn; try again"]

    asyncio.run(scenario())
    assert refused == ["late"]


@given(st.lists(st.sampled_from(["come", "go", "leave", "tick"]), max_size=60), st.integers(1, 3))
def test_no_slot_is_ever_lost(acts: list[str], slots: int) -> None:
    """Requests come, end, are given up by their senders while they wait or work, and become late, in any order."""

    async def scenario() -> None:
        clock, log = Clock(), []  # type: ignore[var-annotated]
        admission = Admission(slots, 60.0)
        open_: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        for at, act in enumerate(acts):
            if act == "come":
                done = asyncio.Event()
                open_.append((asyncio.create_task(work(admission, clock, log, str(at), 2.5)(done)), done))  # type: ignore[arg-type]
            elif act == "tick":
                clock.now += 1.0
            elif open_:
                task, done = open_.pop(0 if act == "go" else len(open_) // 2)
                if act == "leave":
                    task.cancel()
                done.set()
            if at % 2:
                await settle()
        for _, done in open_:
            done.set()
        await settle()
        await asyncio.gather(*(task for task, _ in open_), return_exceptions=True)
        assert admission.waiting == 0
        busy = [asyncio.create_task(work(admission, clock, log, "then")(asyncio.Event())) for _ in range(slots)]  # type: ignore[arg-type]
        await settle()
        assert log[-slots:] == ["then began"] * slots
        for task in busy:
            task.cancel()

    asyncio.run(scenario())


def test_a_refusal_says_when_to_come_back() -> None:
    async def scenario() -> None:
        admission = Admission(1, 0.0)
        clock = Clock()
        done = asyncio.Event()
        tasks = [asyncio.create_task(work(admission, clock, [], str(i))(done)) for i in range(2)]  # type: ignore[arg-type]
        await settle()
        with pytest.raises(Busy) as refusal:
            async with admission.turn(Deadline.after(1.0, clock)):
                raise AssertionError("there was no slot")
        assert refusal.value.retry_after == 1
        done.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
