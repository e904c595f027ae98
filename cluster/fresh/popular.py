"""The order of popular pins after some were saved, without sorting the others again. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cluster.catalog.pins import PinTable, SaveCounts

if TYPE_CHECKING:
    from cluster.fresh.pins import Touched


@dataclass(frozen=True)
class PopularOrders:
    """Orders of a bundle: of all pins, and of each locale (unknown first) those that were saved."""

    everywhere: np.ndarray  # int32[n]
    by_locale: Sequence[np.ndarray]  # int32 each
    recent: np.ndarray  # float32[n]
    degree: np.ndarray  # int32[n]

    @classmethod
    def of(cls, pins: PinTable, saves: SaveCounts) -> "PopularOrders":
        """That of a bundle as it was built."""
        parts = [pins.popular(-1, len(pins))]
        bounds = np.concatenate([[0], pins._popular_bounds])
        by_locale = [pins._popular_by_locale[a:b] for a, b in pairwise(bounds.tolist())]
        return cls(parts[0], by_locale, saves.recent, saves.degree)

    def with_pins(self, touched: "Touched", locale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The arrays `_popular`, `_popular_by_locale` and `_popular_bounds` of a PinTable."""
        every = np.arange(len(touched.pins))
        everywhere = self._again(self.everywhere, touched, every, every)
        parts = []
        for at, order in enumerate(self.by_locale):
            here = np.flatnonzero(locale[touched.pins] == at - 1)
            was = here[touched.pins[here] < len(self.degree)]
            was = was[self.degree[touched.pins[was]] > 0]
            parts.append(self._again(order, touched, was, here[touched.degree[here] > 0]))
        bounds = np.cumsum([len(part) for part in parts]).astype(np.int64)
        return everywhere, np.concatenate(parts).astype(np.int32), bounds

    def _again(self, order: np.ndarray, touched: "Touched", leave: np.ndarray, enter: np.ndarray) -> np.ndarray:
        """`order` without the rows `leave` of `touched` where they stood, with the rows `enter` where they belong."""
        old = touched.pins[leave]
        old = old[old < len(self.degree)]
        if len(old):
            order = np.delete(order, self._found(order, self.recent[old], self.degree[old], old))
        pins = touched.pins[enter]
        best = np.lexsort((pins, -touched.degree[enter].astype(np.int64), -touched.recent[enter]))
        pins = pins[best]
        at = self._found(order, touched.recent[enter][best], touched.degree[enter][best], pins)
        return np.insert(order, at, pins).astype(np.int32)

    def _found(self, order: np.ndarray, recent: np.ndarray, degree: np.ndarray, pins: np.ndarray) -> np.ndarray:
        """int64[k]: how many pins of `order` stand before a pin with such counts: a binary search for all at once."""
        low = np.zeros(len(pins), np.int64)
        high = np.full(len(pins), len(order), np.int64)
        while (low < high).any():
            middle = (low + high) // 2
            there = order[np.minimum(middle, len(order) - 1)]
            more, as_many = self.recent[there] > recent, self.recent[there] == recent
            before = more | (as_many & (self.degree[there] > degree))
            before |= as_many & (self.degree[there] == degree) & (there < pins)
            going = low < high
            low = np.where(going & before, middle + 1, low)
            high = np.where(going & ~before, middle, high)
        return low
