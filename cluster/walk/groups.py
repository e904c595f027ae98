"""Walks that stand on one pin, advanced as one group, compiled. Knows nothing of ids, counting or parameters.

All walks of a query pin start as one group. A group of n walks on a pin of d boards gives each board n / d of them
(n >= d), or draws one board from each n-th part of the list (n < d); the same again from a board to its pins. So
boards and pins are visited in proportion instead of by luck: stratified sampling, unbiased, with most of the variance
gone from the early steps, which are most of all steps. It is faster too: what stays together is read and counted once.
Remainders start at a random edge of each list, and survivors are rounded at random, so expectations are exact.

Where a share of steps is biased to some pins, that share of a group's walks parts over a board's matching pins, and
the rest over all of them.

A level is walked in blocks, in four phases: groups to boards (`_fill_jobs`), reading the boards (`_read_boards`),
boards to pins (`_fill_points`), and visiting these (`visits`). The first and the third stop where a block is full, in
the midst of a group or of a board, and go on from there: what they had in hand is their cursor.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from cluster.graph.packing import DEGREE_MAX
from cluster.walk.arrays import BLOCK, Groups
from cluster.walk.crowd import Crowd, gather, nobody, take
from cluster.walk.intrinsics import (
    draw,
    first_at_least,
    holds_links,
    large_degree,
    multiply_wide,
    prefetch,
    unpack_entry,
)
from cluster.walk.visits import Living, visit

_U = np.uint64
_ZERO = _U(0)
_ONE = _U(1)
_ALL = _U(0xFFFFFFFFFFFFFFFF)
_DEGREE_MAX = _U(DEGREE_MAX)
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_AHEAD = _U(8)  # groups whose index is fetched ahead


class GroupLevel(NamedTuple):
    """The groups of one level, where those of the next go, and how many stand here."""

    here: Groups
    there: Groups
    n_groups: Any
    from_board: Any  # bool[Q]; whether a query's walks start on a board
    first: Any  # on the first level groups stand on their start nodes


class JobCursor(NamedTuple):
    """Where `_fill_jobs` is: the next group, and the part in hand of the crowd in hand."""

    group: Any
    crowd: Crowd
    part: Any
    carry: Any
    query: Any


class PointCursor(NamedTuple):
    """Where `_fill_points` is: the next job, and the part in hand of the crowd in hand."""

    job: Any
    crowd: Crowd
    part: Any
    carry: Any
    query: Any
    others: Any  # walks of the board in hand that take any pin, after those that take only pins that match
    all_start: Any  # edges of that board
    all_degree: Any


@nb.njit(inline="always")
def _fill_jobs(graph, lanes, level, cursor, state):  # type: ignore[no-untyped-def]
    """Groups -> boards: fills the lanes with edges to boards and the walks that take them; (jobs, cursor, state)."""
    pin_index, pin_boards, _, _, id_shift, degree_bits = graph
    linked = holds_links(pin_boards)
    offset_mask = (_ONE << (id_shift - degree_bits)) - _ONE
    degree_mask = (_ONE << degree_bits) - _ONE
    pos, frac, who, board, size, _, _, _, _ = lanes
    group, group_query, group_walks = level.here
    from_board = level.from_board
    at, crowd, part, carry, query = cursor
    jobs = _ZERO
    while jobs < _U(BLOCK):
        if part == crowd.parts:
            if at == level.n_groups:
                break
            walker = group[at]
            walks = _U(group_walks[at])
            plain = level.first or not linked  # query << 32 | node
            query = walker & ~_LOW32 if plain else group_query[at]
            if not linked and at + _AHEAD < level.n_groups:
                prefetch(pin_index, group[at + _AHEAD] & _LOW32)
            at += _ONE
            if level.first and from_board[query >> _SHIFT32]:
                board[jobs] = walker & _LOW32
                who[jobs] = query
                size[jobs] = walks
                pos[jobs] = _ALL  # no edge led here
                state, frac[jobs] = draw(state)
                jobs += _ONE
                continue
            start = (walker >> degree_bits) & offset_mask
            degree = walker & degree_mask
            if plain or degree == degree_mask:
                node = walker & _LOW32 if plain else walker >> id_shift
                start, degree = unpack_entry(pin_index[node])
                if degree == _DEGREE_MAX:
                    degree = large_degree(pin_index, node, start)
            crowd = gather(start, degree, walks)
            part = _ZERO
            if walks >= degree:
                state, random = draw(state)
                carry = multiply_wide(random, degree)[0]
        state, random = draw(state)
        edge, size[jobs], frac[jobs], carry = take(crowd, part, carry, random)
        pos[jobs] = edge
        who[jobs] = query
        prefetch(pin_boards, edge)
        part += _ONE
        jobs += _ONE
    return jobs, JobCursor(at, crowd, part, carry, query), state


@nb.njit(inline="always")
def _read_boards(graph, lanes, jobs):  # type: ignore[no-untyped-def]
    """Replaces each job's edge by the board it leads to: its id, or the link to it."""
    pin_boards = graph.pin_boards
    board_index = graph.board_index
    linked = holds_links(pin_boards)
    pos = lanes.pos
    board = lanes.board
    for j in range(jobs):
        if pos[j] != _ALL:
            board[j] = _U(pin_boards[pos[j]])
        elif linked:
            board[j] = board_index[board[j]]
        if not linked:
            prefetch(board_index, board[j])


@nb.njit(inline="always")
def _fill_points(graph, lanes, jobs, rules, cursor, state):  # type: ignore[no-untyped-def]
    """Boards -> pins: fills the lanes with edges to pins and the walks that take them; (points, cursor, state)."""
    board_index = graph.board_index
    board_pins = graph.board_pins
    linked = holds_links(graph.pin_boards)
    _, frac, who, board, size, point, point_frac, point_who, point_size = lanes
    bias_below = rules.bias_below
    bias_start = rules.bias_start << graph.id_shift
    bias_end = rules.bias_end << graph.id_shift
    job, crowd, part, carry, query, others, all_start, all_degree = cursor
    points = _ZERO
    while points < _U(BLOCK):
        if part == crowd.parts:
            if others > _ZERO:  # the walks of the board in hand that take any pin
                start = all_start
                degree = all_degree
                walks = others
                others = _ZERO
                state, random = draw(state)
            else:
                if job == jobs:
                    break
                query = who[job]
                walks = size[job]
                random = frac[job]
                node = board[job]
                start, degree = unpack_entry(node if linked else board_index[node])
                if not linked and degree == _DEGREE_MAX:
                    degree = large_degree(board_index, node, start)
                job += _ONE
                if bias_below:  # those that take only pins that match, when there are any
                    state, chance = draw(state)
                    biased, rest = multiply_wide(walks, bias_below)
                    biased += _U(chance < rest)
                    if biased > _ZERO:
                        end = first_at_least(board_pins, start, start + degree, bias_end)
                        match = first_at_least(board_pins, start, end, bias_start)
                        if match < end:
                            all_start = start
                            all_degree = degree
                            others = walks - biased
                            start = match
                            degree = end - match
                            walks = biased
            if walks == _ONE:
                high, point_frac[points] = multiply_wide(random, degree)
                point[points] = start + high
                point_who[points] = query
                point_size[points] = _ONE
                prefetch(board_pins, start + high)
                points += _ONE
                continue
            crowd = gather(start, degree, walks)
            part = _ZERO
            carry = multiply_wide(random, degree)[0]
        state, random = draw(state)
        edge, point_size[points], point_frac[points], carry = take(crowd, part, carry, random)
        point[points] = edge
        point_who[points] = query
        prefetch(board_pins, edge)
        part += _ONE
        points += _ONE
    return points, PointCursor(job, crowd, part, carry, query, others, all_start, all_degree), state


@nb.njit(cache=True, nogil=True)
def step_groups(graph, walking, level, survivors, rules, walked, state):  # type: ignore[no-untyped-def]
    """One step of the groups of a level: (living, walked, state).

    survivors: single walks that live on already. Where the trail is full, the request ends: nobody lives on.
    """
    lanes = walking.lanes
    living = Living(_ZERO, survivors)
    room = _U(walking.trail.one.size)
    room_for_many = _U(walking.trail.many.size)
    jobs_at = JobCursor(_ZERO, nobody(), _ZERO, _ZERO, _ZERO)
    while True:
        jobs, jobs_at, state = _fill_jobs(graph, lanes, level, jobs_at, state)
        if jobs == _ZERO:
            break
        _read_boards(graph, lanes, jobs)
        points_at = PointCursor(_ZERO, nobody(), _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO)
        while True:
            points, points_at, state = _fill_points(graph, lanes, jobs, rules, points_at, state)
            if points == _ZERO:
                break
            if walked.one + points > room or walked.many + points > room_for_many:
                return Living(_ZERO, _ZERO), walked, state
            living, walked = visit(graph, walking, level.there, points, rules, living, walked)
    return living, walked, state
