"""How walks on one node part over its edges: in proportion, not by luck. Scalars only; knows nothing of graphs.

Where there are as many walks as edges or more, each edge takes the same number, and the rest go to edges at even
distances from a random one on. Where there are fewer, each draws an edge from its own equal share of the list.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from cluster.walk.intrinsics import multiply_wide

_U = np.uint64
_ZERO = _U(0)
_ONE = _U(1)
_ALL = _U(0xFFFFFFFFFFFFFFFF)


class Crowd(NamedTuple):
    """Walks on one node, about to part over a range of its edges: one part an edge, or one part a walk."""

    start: Any  # the first edge
    degree: Any  # edges
    walks: Any
    parts: Any  # min(walks, degree)
    stride: Any  # fewer walks than edges: share of the list that each draws from, x 2^64
    each: Any  # else: walks that every edge gets,
    extra: Any  # and those that are left over


@nb.njit(inline="always")
def gather(start, degree, walks):  # type: ignore[no-untyped-def]
    """The crowd of `walks` >= 1 walks before `degree` >= 1 edges; all uint64."""
    if walks < degree:
        return Crowd(start, degree, walks, walks, _ALL // walks, _ZERO, _ZERO)
    return Crowd(start, degree, walks, degree, _ZERO, walks // degree, walks % degree)


@nb.njit(inline="always")
def nobody():  # type: ignore[no-untyped-def]
    """A crowd with no parts left."""
    return Crowd(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO)


@nb.njit(inline="always")
def take(crowd, part, carry, random):  # type: ignore[no-untyped-def]
    """A part of a crowd: (its edge, its walks, randomness that is left, next carry).

    The carry deals the `extra` walks out evenly, from a random edge on.
    """
    if crowd.walks < crowd.degree:
        within = part * crowd.stride + multiply_wide(random, crowd.stride)[0]
        high, left = multiply_wide(within, crowd.degree)
        return crowd.start + high, _ONE, left, carry
    carry += crowd.extra
    more = _U(carry >= crowd.degree)
    return crowd.start + part, crowd.each + more, random, carry - crowd.degree * more
