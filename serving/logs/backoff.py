"""When the next try is due after a disk refused. Knows nothing of what is tried."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

LONGEST_WAIT = 60.0
"""Seconds between tries when the disk keeps refusing."""


@dataclass
class Backoff:
    """When the next try is due after failures: after 1, 2, 4 … seconds, at most LONGEST_WAIT."""

    clock: Callable[[], float] = field(default=time.monotonic)
    failures: int = 0
    due: float = 0.0

    def failed(self) -> None:
        """Wait twice as long as after the failure before."""
        self.due = self.clock() + min(2.0**self.failures, LONGEST_WAIT)
        self.failures += 1

    def worked(self) -> None:
        """Forget the failures."""
        self.failures, self.due = 0, 0.0

    @property
    def waiting(self) -> bool:
        """Whether it is too early for the next try."""
        return self.clock() < self.due
