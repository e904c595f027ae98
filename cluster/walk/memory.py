"""Working memory of one thread's walks, allocated once and reused. Knows nothing of graphs or of walking."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from cluster.walk.count import Candidates, Counters
from cluster.walk.kernel import K, Lanes, Living, Trail


class Arrays(NamedTuple):
    """What the compiled request needs; see the kernels for shapes."""

    lanes: Any
    living: Any
    trail: Any
    ends: Any
    groups: Any
    counters: Any
    candidates: Any
    bins: Any
    keys: Any
    chosen: Any
    slots: Any


class Need(NamedTuple):
    """Sizes that a request asks for: walks on level 1, groups of walks, visits at most, counting groups, answers."""

    walks: int
    starts: int
    visits: int
    groups: int
    top_k: int


class Memory:
    """Arrays for requests up to `need`; `bucket` is the number of pins a counting bucket holds."""

    def __init__(self, need: Need, bucket: int) -> None:
        self.need = need
        counters = Counters(
            np.zeros(bucket, np.int32), np.zeros(bucket, np.int32), np.zeros(bucket, np.float32),
            np.zeros(bucket + 1, np.uint16), np.zeros(bucket + 1, np.uint16),
        )  # fmt: skip
        candidates = Candidates(*(np.zeros(need.visits, kind) for kind in (np.uint32, np.float32, np.int32)))
        pairs = need.visits // 2 + 1
        self.arrays = Arrays(
            Lanes(*(np.zeros(K, np.uint64) for _ in Lanes._fields)),
            Living(
                np.zeros(need.walks + 1, np.uint64), np.zeros(need.walks + 1, np.uint64),
                np.zeros((2, need.starts), np.uint64), np.zeros((2, need.starts), np.uint64),
                np.zeros((2, need.starts), np.int64),
            ),
            Trail(
                np.zeros(need.visits, np.uint64), np.zeros(pairs, np.uint64), np.zeros(pairs, np.int64),
                np.zeros(need.groups, np.int32),
            ),
            np.zeros(need.groups, np.uint32), np.zeros(need.visits, np.uint32), counters, candidates,
            np.zeros(2048, np.int64), np.zeros(need.top_k, np.uint64), np.zeros(need.top_k, np.uint64),
            np.zeros(bucket, np.int32),
        )  # fmt: skip

    @staticmethod
    def needed(walks: int, queries: int, restart: float, groups: int, top_k: int) -> Need:
        """Room for the random number of visits: mean + 12 standard deviations of that many geometric lengths."""
        spread = 12.0 * math.sqrt(walks * (1.0 - restart)) / restart
        return Need(walks, max(queries, walks // 2 + 1), int(walks / restart + spread) + 256, groups, top_k)

    def fits(self, need: Need) -> bool:
        """Whether the arrays are large enough for `need`."""
        return all(have >= want for have, want in zip(self.need, need, strict=True))

    def grown(self, need: Need) -> Need:
        """The smallest sizes that hold this and `need`."""
        return Need(*(max(have, want) for have, want in zip(self.need, need, strict=True)))
