"""The moment by which an answer has to be there. Knows nothing of stages."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

RESERVE = 0.1
"""Share of the time left that a stage is not told of: its result has to travel back and through the policy."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Deadline:
    """A moment of `clock`, in seconds; math.inf for callers that wait as long as it takes."""

    end: float
    clock: Clock = time.perf_counter

    @classmethod
    def after(cls, seconds: float, clock: Clock = time.perf_counter) -> "Deadline":
        """The moment in so many seconds."""
        return cls(clock() + seconds, clock)

    @property
    def endless(self) -> bool:
        """Whether there is no limit."""
        return math.isinf(self.end)

    def left(self) -> float:
        """Seconds until then; negative once it has passed."""
        return self.end - self.clock()

    def budget(self) -> float:
        """Seconds that a stage may work which stops by itself and returns what it has."""
        return (1 - RESERVE) * self.left()
