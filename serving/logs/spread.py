"""Work behind requests, spread over time: after each piece a rest, so that no request finds a core taken for long."""

import time
from collections.abc import Callable

REST = 2.0
"""Times as long as a piece took is rested after it."""


class Spread:
    """Called between the pieces of one work. It rests for at most `seconds` in all: what is late is done at once."""

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], object] = time.sleep,
    ):
        self._left = seconds
        self._clock = clock
        self._sleep = sleep
        self._since = clock()

    def __call__(self) -> None:
        """A piece is done."""
        rest = min(REST * (self._clock() - self._since), self._left)
        if rest > 0:
            self._sleep(rest)
            self._left -= rest
        self._since = self._clock()
