"""How much of a batch of requests can be scored before each one's deadline. Knows nothing of models, Ray or requests.

When there is time everything goes in one pass. When it is short, passes get small enough to stop in time, and the
speed measured in each decides the next.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

CHUNK = 128
"""Candidates of one request in a pass when time is short."""
LEAST = 16
"""A pass for fewer candidates costs about as much as for this many: leave them unscored."""
COMFORT = 4.0
"""One pass takes all when the time left is this many times what it should take: a busy core can halve the speed."""

Part = tuple[int, int, int]
"""(request, first candidate, end)"""


@dataclass
class Pace:
    """Seconds a candidate, learned from passes; 0 until the first. Threads may share one: a lost update is harmless."""

    seconds: float = 0.0
    clock: Callable[[], float] = field(default=time.perf_counter)

    def learn(self, candidates: int, seconds: float) -> None:
        """Take one pass into account."""
        if candidates:
            now = seconds / candidates
            self.seconds = now if not self.seconds else 0.7 * self.seconds + 0.3 * now

    def score(self, sizes: Sequence[int], until: Sequence[float], run: Callable[[list[Part]], None]) -> list[int]:
        """Runs passes over parts of the requests, best candidates first; returns how many of each were scored.

        `until` is in the clock's own seconds, math.inf for no deadline.
        """
        done = [0] * len(sizes)
        given_up = [False] * len(sizes)
        while True:
            now = self.clock()
            open_ = [i for i, size in enumerate(sizes) if done[i] < size and not given_up[i]]
            parts: list[Part] = []
            for i in open_:
                left = sizes[i] - done[i]
                take = self._fits(left, until[i] - now, len(open_))
                given_up[i] = take < min(LEAST, left)
                if not given_up[i]:
                    parts.append((i, done[i], done[i] + take))
            if not parts:
                return done
            run(parts)
            taken = sum(end - start for _, start, end in parts)
            self.learn(taken, self.clock() - now)
            for i, _, end in parts:
                done[i] = end

    def _fits(self, left: int, seconds: float, sharing: int) -> int:
        if math.isinf(seconds) or (seconds > 0 and not self.seconds):
            return left
        fits = int(max(seconds, 0.0) / (self.seconds or 1.0) / sharing)
        return left if fits >= COMFORT * left else min(left, fits, CHUNK)
