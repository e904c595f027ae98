"""What one ingress counted of the last hour, in memory, for people who look at its console.

Prometheus has the same for all processes and any time (serving/deploy/metrics.py). What it costs an answer is a few
appends. Knows nothing of Ray.
"""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from serving.funnel.runner import Outcome, Reason, StageObserver
from serving.http.observer import Observer
from serving.request.answer import Answer

MINUTE = 60.0
MINUTES = 60
KEPT = 512
"""Of the newest times of each stage."""
SHARES = (0.5, 0.95, 0.99)


@dataclass
class _Minute:
    number: int
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)


@dataclass(frozen=True)
class TimesTaken:
    """How long something took, in milliseconds, of its newest `n` times."""

    n: int
    p50: float
    p95: float
    p99: float


def _taken(values: np.ndarray) -> TimesTaken:
    middle, high, highest = np.quantile(values, SHARES).tolist()
    return TimesTaken(len(values), middle, high, highest)


class Figures:
    """Told of answers and stages as metrics are (Observer, StageObserver). Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._minutes: deque[_Minute] = deque(maxlen=MINUTES)
        self._times: dict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._began = clock()

    @property
    def seconds(self) -> float:
        """Since this process began to count, an hour at most."""
        return float(min(self._clock() - self._began, MINUTES * MINUTE))

    def answered(self, answer: Answer, milliseconds: float) -> None:
        """An answer left, so long after its request came."""
        client = answer.ask.client
        with self._lock:
            self._add("answers", client)
            self._times[client, ""].append(milliseconds)
            if answer.degraded:
                self._add("degraded", client)
            for step, count in answer.removed.items():
                self._add("removed", client, step, count=count)

    def stage_ended(self, client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
        """Keep a stage's time, or count why it has no result."""
        with self._lock:
            if outcome == "done":
                self._times[client, stage].append(milliseconds)
            else:
                self._add("fallbacks", client, stage, outcome)

    def noted(self, client: str, stage: str, reason: Reason) -> None:
        """An answer lacks something although the stage has a result."""
        with self._lock:
            self._add("fallbacks", client, stage, reason)

    def refused(self, why: str) -> None:
        """A call was answered 401, 403 or 429."""
        with self._lock:
            self._add("refused", why)

    def events(self, outcome: str, count: int) -> None:
        """So many events were stored, refused, or not stored."""
        with self._lock:
            self._add("events", outcome, count=count)

    def log_dropped(self, client: str) -> None:
        """The serving log's queue was full."""
        with self._lock:
            self._add("dropped", client)

    def total(self, name: str) -> Mapping[tuple[str, ...], int]:
        """What was counted under a name within the hour, by its labels, the most frequent first."""
        with self._lock:
            found: Counter[tuple[str, ...]] = Counter()
            for minute in self._recent():
                found.update({key[1:]: count for key, count in minute.counts.items() if key[0] == name})
        return dict(found.most_common())

    def by_minute(self, name: str, *labels: str) -> list[int]:
        """The counts of the last hour's minutes, the oldest first, the one under way last; int[60]."""
        with self._lock:
            now = self._number()
            known = {minute.number: minute.counts[name, *labels] for minute in self._recent()}
        return [known.get(now - back, 0) for back in range(MINUTES - 1, -1, -1)]

    def times(self) -> Mapping[tuple[str, str], TimesTaken]:
        """By client and stage; the stage of a whole answer is empty."""
        with self._lock:
            kept = {key: np.array(values) for key, values in self._times.items() if values}
        return {
            key: TimesTaken(len(it), *(float(value) for value in np.quantile(it, SHARES))) for key, it in kept.items()
        }

    def _recent(self) -> list[_Minute]:
        oldest = self._number() - MINUTES
        return [minute for minute in self._minutes if minute.number > oldest]

    def _number(self) -> int:
        return int(self._clock() // MINUTE)

    def _add(self, *key: str, count: int = 1) -> None:
        number = self._number()
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number))
        self._minutes[-1].counts[key] += count


class FunnelObserver(Observer, StageObserver, Protocol):
    """Told of answers, and of their stages."""


class Both:
    """Tells metrics, and figures beside them."""

    def __init__(self, *observers: FunnelObserver):
        self._observers = observers

    def answered(self, answer: Answer, milliseconds: float) -> None:
        """See Observer."""
        for each in self._observers:
            each.answered(answer, milliseconds)

    def log_dropped(self, client: str) -> None:
        """See Observer."""
        for each in self._observers:
            each.log_dropped(client)

    def refused(self, why: str) -> None:
        """See Observer."""
        for each in self._observers:
            each.refused(why)

    def events(self, outcome: str, count: int) -> None:
        """See Observer."""
        for each in self._observers:
            each.events(outcome, count)

    def stage_ended(self, client: str, stage: str, outcome: Outcome, milliseconds: float) -> None:
        """See StageObserver."""
        for each in self._observers:
            each.stage_ended(client, stage, outcome, milliseconds)

    def noted(self, client: str, stage: str, reason: Reason) -> None:
        """See StageObserver."""
        for each in self._observers:
            each.noted(client, stage, reason)
