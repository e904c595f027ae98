"""Declared metrics as Ray exports them. Counters add up in this process and reach Ray together, as calls cost."""

import threading
from collections import defaultdict

from ray.serve import metrics

from serving.deploy.declared import Declared

BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
"""Milliseconds."""


class CountedUp(metrics.Counter):
    """A counter that shows 0 before anything happened: `rate` sees no first event of a series that was not there."""

    def add(self, value: float, tags: dict[str, str]) -> None:
        """0 is fine, unlike in Ray's `inc`."""
        self._record(value, tags)


class Counted:
    """A counter's increments between two exports. Thread-safe."""

    def __init__(self, declared: Declared, begins: bool = False):
        """`begins`: a series that is new is told as 0 first, and what was counted with the next export."""
        self._begins = begins
        self._told: set[tuple[str, ...]] = set()
        self._labels = declared.labels
        self._exported = CountedUp(declared.name, declared.meaning, declared.labels)
        self._lock = threading.Lock()
        self._new: dict[tuple[str, ...], float] = defaultdict(float)

    def add(self, value: float, *labels: str) -> None:
        """`labels` in the order of the declaration."""
        with self._lock:
            self._new[labels] += value

    def export(self) -> None:
        """Tell Ray what came together."""
        with self._lock:
            new = self._new
            self._new = defaultdict(float)
        for labels, value in new.items():
            if self._begins and labels not in self._told:
                self._told.add(labels)
                self.add(value, *labels)
                value = 0.0
            self._exported.add(value, dict(zip(self._labels, labels, strict=True)))


class Measured:
    """A gauge."""

    def __init__(self, declared: Declared):
        self._labels = declared.labels
        self._exported = metrics.Gauge(declared.name, declared.meaning, declared.labels)

    def set(self, value: float, *labels: str) -> None:
        """`labels` in the order of the declaration."""
        self._exported.set(value, dict(zip(self._labels, labels, strict=True)))


class Times:
    """A histogram of milliseconds."""

    def __init__(self, declared: Declared):
        self._exported = metrics.Histogram(declared.name, declared.meaning, BOUNDS, declared.labels)
        self._labels = declared.labels

    def note(self, milliseconds: float, *labels: str) -> None:
        """`labels` in the order of the declaration."""
        self._exported.observe(max(milliseconds, 1e-3), dict(zip(self._labels, labels, strict=True)))
