"""Working memory of one thread's walks, allocated once and reused. Knows nothing of graphs or of walking."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cluster.walk.arrays import (
    BLOCK,
    Choosing,
    Counters,
    Groups,
    Lanes,
    RequestMemory,
    Singles,
    Trail,
    Visited,
    Walking,
)


class Need(NamedTuple):
    """Sizes that a request asks for."""

    walks: int  # on level 1
    groups: int  # of walks, on any level
    visits: int  # at most
    ends: int  # counting buckets x queries
    top_k: int


class Memory:
    """Arrays for requests up to `need`; `bucket` is the number of pins a counting bucket holds."""

    def __init__(self, need: Need, bucket: int) -> None:
        self.need = need
        self.arrays = RequestMemory(
            walking=_walking(need),
            entries=np.zeros(need.visits, np.uint32),
            ends=np.zeros(need.ends, np.uint32),
            counters=Counters(
                per_query=np.zeros(bucket, np.int32),
                total=np.zeros(bucket, np.int32),
                boost=np.zeros(bucket, np.float32),
                unique=np.zeros(bucket + 1, np.uint16),
                touched=np.zeros(bucket + 1, np.uint16),
            ),
            candidates=Visited(
                pin=np.zeros(need.visits, np.uint32),
                score=np.zeros(need.visits, np.float32),
                visits=np.zeros(need.visits, np.int32),
            ),
            choosing=Choosing(
                bins=np.zeros(2048, np.int64),
                keys=np.zeros(need.top_k, np.uint64),
                chosen=np.zeros(need.top_k, np.uint64),
                slots=np.zeros(bucket, np.int32),
            ),
        )

    @staticmethod
    def needed(walks: int, queries: int, restart: float, ends: int, top_k: int) -> Need:
        """Room for the random number of visits: mean + 12 standard deviations of that many geometric lengths."""
        spread = 12.0 * math.sqrt(walks * (1.0 - restart)) / restart
        return Need(
            walks=walks,
            groups=max(queries, walks // 2 + 1),
            visits=int(walks / restart + spread) + 256,
            ends=ends,
            top_k=top_k,
        )

    def fits(self, need: Need) -> bool:
        """Whether the arrays are large enough for `need`."""
        return all(have >= want for have, want in zip(self.need, need, strict=True))

    def grown(self, need: Need) -> Need:
        """The smallest sizes that hold this and `need`."""
        return Need(*(max(have, want) for have, want in zip(self.need, need, strict=True)))


def _walking(need: Need) -> Walking:
    pairs = need.visits // 2 + 1
    return Walking(
        lanes=Lanes(*(np.zeros(BLOCK, np.uint64) for _ in Lanes._fields)),
        singles=Singles(walker=np.zeros(need.walks + 1, np.uint64), query=np.zeros(need.walks + 1, np.uint64)),
        here=_groups(need.groups),
        there=_groups(need.groups),
        trail=Trail(
            one=np.zeros(need.visits, np.uint64),
            many=np.zeros(pairs, np.uint64),
            times=np.zeros(pairs, np.int64),
            hist=np.zeros(need.ends, np.int32),
        ),
    )


def _groups(n: int) -> Groups:
    return Groups(walker=np.zeros(n, np.uint64), query=np.zeros(n, np.uint64), walks=np.zeros(n, np.int64))
