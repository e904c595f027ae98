"""Whose turn it is: a few requests are computed at a time, others wait in their order or are refused at once.

Many at once would share the cores and the interpreter, so that all become late together. A request that is refused has
cost next to nothing, and its sender can try another server. Knows nothing of HTTP and of what is computed.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving.request.deadline import Deadline

FIRST_GUESS = 0.02
"""Seconds of work of a request, before any has been seen."""
MEMORY = 0.1
"""How much the last request weighs in the mean of their seconds of work."""


class Busy(Exception):
    """There is more to do than can be done in time: the sender should try again in `retry_after` whole seconds."""

    def __init__(self, text: str, retry_after: int = 1):
        super().__init__(text)
        self.retry_after = retry_after


class Admission:
    """At most `slots` requests at a time. For one event loop; not thread-safe."""

    def __init__(self, slots: int, longest_wait: float, refused: Callable[[str], None] = lambda why: None):
        """A request that would wait longer than `longest_wait` seconds is refused.

        As many as there are slots may always wait, however long a request takes. `refused` is told `full` or `late`.
        """
        self._slots = slots
        self._longest_wait = longest_wait
        self._refused = refused
        self._running = 0
        self._seconds = FIRST_GUESS
        self._waiting: deque[tuple[Deadline, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """Requests that have no turn yet."""
        return len(self._waiting)

    def expected_wait(self) -> float:
        """Seconds that a request which comes now would wait, by how long those before it took."""
        ahead = self._running + len(self._waiting) + 1 - self._slots
        return max(ahead, 0) * self._seconds / self._slots

    def check(self) -> None:
        """Raises Busy when a request that comes now would wait too long; to be called before it costs anything."""
        if len(self._waiting) >= self._slots and self.expected_wait() > self._longest_wait:
            self._refused("full")
            raise Busy("too many requests at once; try again", max(math.ceil(self.expected_wait()), 1))

    @asynccontextmanager
    async def turn(self, deadline: Deadline) -> AsyncIterator[None]:
        """Waits for a slot and holds it.

        Raises Busy at once when the wait would be too long, and when the deadline passes meanwhile: nothing is computed
        then.
        """
        self.check()
        await self._acquire(deadline)
        began = deadline.clock()
        try:
            yield
        finally:
            self._seconds += MEMORY * (deadline.clock() - began - self._seconds)
            self._release()

    async def _acquire(self, deadline: Deadline) -> None:
        if self._running < self._slots and not self._waiting:
            self._running += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((deadline, mine))
        try:
            await mine
        except asyncio.CancelledError:  # its sender has gone
            if mine.done() and not mine.cancelled() and mine.exception() is None:
                self._release()  # it had just been given the slot
            else:
                self._waiting = deque(each for each in self._waiting if each[1] is not mine)
            raise

    def _release(self) -> None:
        """Give the slot to the first that still has time; those that have none are told."""
        while self._waiting:
            deadline, next_one = self._waiting.popleft()
            if next_one.done():
                continue
            if deadline.left() > 0:
                next_one.set_result(None)
                return
            self._refused("late")
            next_one.set_exception(Busy("the deadline passed before it was this request's turn; try again"))
        self._running -= 1
