"""When the next try is due after something failed. Knows nothing of what is tried."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

LONGEST_WAIT = 60.0
"""Seconds between tries when all of them fail."""

DOUBLINGS = 6
"""Failures after which the wait is LONGEST_WAIT: a larger power would not fit a float one day."""


@dataclass
class Backoff:
    """When the next try is due after failures: after 1, 2, 4 … seconds, at most LONGEST_WAIT."""

    clock: Callable[[], float] = field(default=time.monotonic)
    failures: int = 0
    due: float = 0.0

    def failed(self) -> None:
        """Wait twice as long as after the failure before."""
        self.due = self.clock() + min(2.0 ** min(self.failures, DOUBLINGS), LONGEST_WAIT)
        self.failures += 1

    def worked(self) -> None:
        """Forget the failures."""
        self.failures, self.due = 0, 0.0

    @property
    def waiting(self) -> bool:
        """Whether it is too early for the next try."""
        return self.clock() < self.due

    @property
    def seconds_left(self) -> float:
        """Seconds until the next try is due."""
        return max(self.due - self.clock(), 0.0)
