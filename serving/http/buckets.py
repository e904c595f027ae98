"""How often a key may call: a token bucket each."""

import time
from collections.abc import Callable


class Bucket:
    """Fills with `per_second` tokens up to `burst`, and is full at first. For one event loop; not thread-safe."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic):
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self) -> float:
        """Takes a token and returns 0; without one, the seconds until there will be one."""
        wait = self.left_until()
        if not wait:
            self._tokens -= 1.0
        return wait

    def left_until(self) -> float:
        """Seconds until there is a token; 0 where there is one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._per_second
