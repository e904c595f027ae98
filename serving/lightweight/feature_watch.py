"""How the features of served requests compare with training, over the last hour. Knows nothing of Ray.

A request a second and client is looked at, some of its candidates each: what that costs does not grow with traffic.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from cluster.features.assemble import FeatureBlock
from cluster.features.drift import BINS, FeatureHistograms, psi, rows_to_count

SECONDS = 1.0
"""Between two requests of a client that are looked at."""
PART = 300.0
PARTS = 12
"""The window moves in steps of `PART` seconds and is as many of them long: an hour."""
LEAST_REQUESTS = 100
"""Requests in the window below which nothing is said: chance alone would look like drift."""


@dataclass(frozen=True)
class FeatureState:
    """One feature of one client's requests in the window."""

    client: str
    feature: str
    nan_share: float
    psi: float | None  # None: the model was stored without a reference, or there is no model


@dataclass
class _Part:
    number: int
    counts: np.ndarray
    requests: int = 0


@dataclass
class _Seen:
    reference: FeatureHistograms
    parts: deque[_Part] = field(default_factory=lambda: deque(maxlen=PARTS))
    next_at: float = -np.inf


class FeatureWatch:
    """Counts values in the bins of each client's reference. Thread-safe."""

    def __init__(self, names: tuple[str, ...], clock: Callable[[], float] = time.monotonic):
        """`names` of the columns, shared ones first."""
        self._names = names
        self._clock = clock
        self._lock = threading.Lock()
        self._clients: dict[str, _Seen] = {}

    def compare_with(self, client: str, reference: FeatureHistograms | None) -> None:
        """From now on, with what a new model of the client was trained on; earlier requests no longer count."""
        with self._lock:
            self._clients[client] = _Seen(reference or FeatureHistograms.without_bins(self._names))

    def note(self, client: str, block: FeatureBlock) -> None:
        """One request's features; most are passed over at once."""
        now = self._clock()
        seen = self._clients.get(client)
        if (seen is not None and now < seen.next_at) or not len(block.candidates):
            return
        with self._lock:
            seen = self._clients.setdefault(client, _Seen(FeatureHistograms.without_bins(self._names)))
            seen.next_at = now + SECONDS
        some = FeatureBlock(block.shared, block.candidates[rows_to_count(len(block.candidates))])
        counts = seen.reference.binned(some.matrix())
        number = int(now // PART)
        with self._lock:
            if not seen.parts or seen.parts[-1].number != number:
                seen.parts.append(_Part(number, np.zeros_like(counts)))
            part = seen.parts[-1]
            part.counts += counts
            part.requests += 1

    def states(self) -> Iterator[FeatureState]:
        """Of every feature of every client that has had enough requests."""
        oldest = int(self._clock() // PART) - PARTS
        for client, seen in list(self._clients.items()):
            with self._lock:
                parts = [part for part in seen.parts if part.number > oldest]
                total = np.sum([part.counts for part in parts], axis=0)
            if sum(part.requests for part in parts) < LEAST_REQUESTS:
                continue
            missing = total[:, BINS] / total.sum(axis=1)
            moved = psi(seen.reference.counts, total).tolist() if seen.reference.known else [None] * len(missing)
            for feature, share, index in zip(self._names, missing.tolist(), moved, strict=True):
                yield FeatureState(client, feature, share, index)
