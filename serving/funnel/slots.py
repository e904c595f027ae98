"""Threads that compute requests from beginning to end, each with an event loop of its own. No Ray, no HTTP.

The thread that speaks HTTP stays free for that. Were a request handed from thread to thread, stage by stage, each would
find cold caches and wait for the interpreter anew.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from serving.funnel.funnel import Funnel
from serving.funnel.runner import Fault
from serving.request.answer import Answer
from serving.request.ask import WalkAsk
from serving.request.deadline import Deadline

T = TypeVar("T")

GRACE = 0.05
"""Seconds beyond the deadline in which a stage that has begun may end: a whole answer is better than a popular one."""


class SlotThreads:
    """`count` threads. What is given to one that is busy waits until that one lets go of its loop."""

    def __init__(self, count: int):
        self._loops = [asyncio.new_event_loop() for _ in range(count)]
        self._busy = [0] * count
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=loop.run_forever, name=f"slot-{at}", daemon=True)
            for at, loop in enumerate(self._loops)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `work`, from the thread that has least to do. To be cancelled as a task is."""
        with self._lock:
            at = min(range(len(self._busy)), key=self._busy.__getitem__)
            self._busy[at] += 1
        begun = False
        given_up = False

        async def counted() -> T:
            nonlocal begun
            if given_up:
                raise asyncio.CancelledError
            begun = True
            try:
                return await work()
            finally:
                self._free(at)  # in the thread itself: one that hangs is not free, whoever has given it up

        def give_up() -> None:
            nonlocal given_up
            given_up = True
            if not begun:
                self._free(at)

        loop = self._loops[at]
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(counted(), loop))
        except asyncio.CancelledError:
            loop.call_soon_threadsafe(give_up)
            raise

    def _free(self, at: int) -> None:
        with self._lock:
            self._busy[at] -= 1

    def close(self) -> None:
        """End the threads; one that hangs is not waited for."""
        for loop in self._loops:
            loop.call_soon_threadsafe(loop.stop)
        for thread, loop in zip(self._threads, self._loops, strict=True):
            thread.join(1.0)
            if not thread.is_alive():
                loop.close()


class SlottedFunnel:
    """A funnel whose requests are computed in slots, and answered by their deadline even when a slot hangs."""

    def __init__(self, funnel: Funnel, slots: SlotThreads):
        self._funnel = funnel
        self._slots = slots
        self.teacher = funnel.teacher

    async def recommend(
        self, ask: WalkAsk, *, deadline: Deadline, faults: tuple[Fault, ...] = (), **options: Any
    ) -> Answer:
        """As `Funnel.recommend`. Without an answer in time: what can be said without any stage, popular pins."""
        answer = partial(self._funnel.recommend, ask, **options)
        whole = self._slots.run(partial(answer, deadline=deadline, faults=faults))
        try:
            return await asyncio.wait_for(whole, max(deadline.left(), 0.0) + GRACE)
        except TimeoutError:
            faults = (*faults, ("request", "late", "no stage answered within the deadline"))
            return await answer(deadline=Deadline.after(0.0, deadline.clock), faults=faults)

    async def teach(self, answer: Answer) -> None:
        """As `Funnel.teach`."""
        await self._slots.run(partial(self._funnel.teach, answer))
