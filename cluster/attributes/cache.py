"""The masks of the last filters over one graph: a shop's pages ask for the same few again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from cluster.attributes.filters import Filter

MASK_BYTES = 64 << 20
"""Masks of one graph to keep; of a graph of more pins than that, the last one alone."""


class MaskCache:
    """The last masks of one graph, up to MASK_BYTES of them. Thread-safe: of two that ask at once, both may work."""

    def __init__(self, most_bytes: int = MASK_BYTES) -> None:
        self._most = most_bytes
        self._held = 0
        self._by_filter: OrderedDict[Filter, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, asked: Filter, work_out: Callable[[], np.ndarray]) -> np.ndarray:
        """The mask of a filter, read-only, as it was worked out once."""
        with self._lock:
            found = self._by_filter.get(asked)
            if found is not None:
                self._by_filter.move_to_end(asked)
                return found
        mask = work_out()
        mask.setflags(write=False)
        with self._lock:
            if asked not in self._by_filter:
                self._by_filter[asked] = mask
                self._held += mask.nbytes
            while self._held > self._most and len(self._by_filter) > 1:
                self._held -= self._by_filter.popitem(last=False)[1].nbytes
        return mask
