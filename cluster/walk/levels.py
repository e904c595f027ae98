"""A request's walks, level by level, compiled. Knows nothing of ids, counting or parameters.

Level 1 holds every walk's first step, and each walk lives on to the next level with probability 1 - restart, so lengths
are geometric as in Pixie. Walks that stand on one pin travel as one group (`groups`) until they part (`singles`).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.walk.arrays import WalkCounts
from cluster.walk.groups import GroupLevel, step_groups
from cluster.walk.singles import step_singles

_U = np.uint64
_ZERO = _U(0)
_ONE = _U(1)
_SHIFT32 = _U(32)


@nb.njit(inline="always")
def walk_levels(graph, walking, starts, walks, rules, walked, state):  # type: ignore[no-untyped-def]
    """Walks `walks[q]` walks from each start node, appending to the trail behind `walked`; (walked, state)."""
    here = walking.here
    there = walking.there
    n_groups = _ZERO
    for q in range(starts.nodes.size):
        if walks[q] > 0:
            here.walker[n_groups] = _U(q) << _SHIFT32 | _U(starts.nodes[q])
            here.walks[n_groups] = walks[q]
            n_groups += _ONE
    alive = _ZERO
    first = True
    while alive > _ZERO or n_groups > _ZERO:
        before = walked.one
        alive, one, state = step_singles(graph, walking, alive, rules, before, state)
        walked = WalkCounts(one, walked.many, walked.steps + (one - before))
        if one == _U(walking.trail.one.size):
            break
        if n_groups > _ZERO:
            level = GroupLevel(here, there, n_groups, starts.from_board, first)
            living, walked, state = step_groups(graph, walking, level, alive, rules, walked, state)
            n_groups, alive = living
            here, there = there, here
            first = False
    return walked, state
