"""Where groups arrive: visits are noted, and survivors sorted into groups and single walks. Knows nothing of boards."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from cluster.walk.arrays import WalkCounts
from cluster.walk.intrinsics import holds_links, multiply_wide

WEIGHT_MAX = 0xFFFF
"""Visits that one counting entry holds."""

_U = np.uint64
_ONE = _U(1)
_SHIFT32 = _U(32)


class Living(NamedTuple):
    """How many groups and single walks live on to the next level."""

    groups: Any
    singles: Any


@nb.njit(inline="always")
def visit(graph, walking, there, points, rules, living, walked):  # type: ignore[no-untyped-def]
    """Notes the visits of a block of points and keeps the walks that live on, alone or as a group; (living, walked)."""
    board_pins = graph.board_pins
    linked = holds_links(board_pins)
    id_shift = graph.id_shift
    live_below = rules.live_below
    shift = rules.shift
    queries = rules.queries
    _, _, _, _, _, point, point_frac, point_who, point_size = walking.lanes
    visited, many, times, hist = walking.trail
    alive, alive_query = walking.singles
    group, group_query, group_walks = there
    kept, survivors = living
    n, n_many, steps = walked
    for j in range(points):
        link = _U(board_pins[point[j]])
        pin = link >> id_shift if linked else link
        who = point_who[j]
        arrival = who | pin
        walker = link if linked else arrival
        count = point_size[j]
        steps += count
        key = (pin >> shift) * queries + (arrival >> _SHIFT32)
        if count == _ONE:
            hist[key] += 1
            visited[n] = arrival
            n += _ONE
            alive[survivors] = walker
            if linked:
                alive_query[survivors] = who
            survivors += _U(point_frac[j] < live_below)
        else:
            hist[key] += np.int32((count + _U(WEIGHT_MAX - 1)) // _U(WEIGHT_MAX))
            many[n_many] = arrival
            times[n_many] = np.int64(count)
            n_many += _ONE
            lives, rest = multiply_wide(count, live_below)
            lives += _U(point_frac[j] < rest)
            if lives == _ONE:
                alive[survivors] = walker
                if linked:
                    alive_query[survivors] = who
                survivors += _ONE
            elif lives > _ONE:
                group[kept] = walker
                group_walks[kept] = np.int64(lives)
                if linked:
                    group_query[kept] = who
                kept += _ONE
    return Living(kept, survivors), WalkCounts(n, n_many, steps)
