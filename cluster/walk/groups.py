"""Walks that stand on one pin, advanced as one group, compiled. Knows nothing of ids, counting or parameters.

All walks of a query pin start as one group. A group of n walks on a pin of d boards gives each board n / d of them
(n >= d), or draws one board from each n-th part of the list (n < d); the same again from a board to its pins. So
boards and pins are visited in proportion instead of by luck: stratified sampling, unbiased, with most of the variance
gone from the early steps, which are most of all steps. It is faster too: what stays together is read and counted once.
Remainders start at a random place in each list, and survivors are rounded at random, so expectations are exact.

Where a share of steps is biased to some pins, that share of a group's walks parts over a board's matching pins, and
the rest over all of them.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX
from cluster.walk.kernel import K, draw, first_at_least, holds_links, multiply_wide, prefetch, step_singles

WEIGHT_MAX = 0xFFFF  # visits that one counting entry holds

_U = np.uint64
_BITS = _U(DEGREE_BITS)
_MASK = _U(DEGREE_MAX)
_ZERO, _ONE = _U(0), _U(1)
_ALL = _U(0xFFFFFFFFFFFFFFFF)
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_AHEAD = _U(8)  # groups whose index is fetched ahead


@nb.njit(cache=True, nogil=True)
def step_groups(  # type: ignore[no-untyped-def]
    graph, lanes, living, row, n_groups, starts, from_board, first, survivors, trail, n, n_many, live_below, bias,
    state, shift, queries,
):  # fmt: skip
    """One step of the `n_groups` groups in `row`: (groups in the other row, single survivors, n, n_many, steps, state).

    On the first level groups stand on `starts`, boards where `from_board`. n, n_many: entries of `trail` in use.
    """
    pin_index, pin_boards, board_index, board_pins, id_shift, degree_bits = graph
    linked, offset_mask = holds_links(pin_boards), (_ONE << (id_shift - degree_bits)) - _ONE
    degree_mask = (_ONE << degree_bits) - _ONE
    pos, frac, who, board, size, point, point_frac, point_who, point_size = lanes
    alive, alive_query = living.one, living.query
    visited, many, times, hist = trail.one, trail.many, trail.times, trail.hist
    group, group_query, group_size = living.many[row], living.many_query[row], living.times[row]
    next_group, next_query, next_size = living.many[1 - row], living.many_query[1 - row], living.times[1 - row]
    bias_below, bias_start, bias_end = bias[0], bias[1] << id_shift, bias[2] << id_shift
    at, kept, steps = _ZERO, _ZERO, _ZERO
    i, parts = _ZERO, _ZERO  # the part in hand of the group in hand
    start, degree, walks, stride, each, extra, carry, query = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    while True:
        jobs = _ZERO
        while jobs < _U(K):  # groups -> boards
            if i == parts:
                if at == n_groups:
                    break
                walker, walks = group[at], _U(group_size[at])
                plain = first or not linked  # query << 32 | node
                query = walker & ~_LOW32 if plain else group_query[at]
                if not linked and at + _AHEAD < n_groups:
                    prefetch(pin_index, group[at + _AHEAD] & _LOW32)
                at += _ONE
                if first and from_board[query >> _SHIFT32]:
                    board[jobs], who[jobs], size[jobs], pos[jobs] = walker & _LOW32, query, walks, _ALL
                    state, frac[jobs] = draw(state)
                    jobs += _ONE
                    continue
                start, degree = (walker >> degree_bits) & offset_mask, walker & degree_mask
                if plain or degree == degree_mask:
                    node = walker & _LOW32 if plain else walker >> id_shift
                    entry = pin_index[node]
                    start, degree = entry >> _BITS, entry & _MASK
                    if degree == _MASK:
                        degree = (pin_index[node + _ONE] >> _BITS) - start
                i, parts = _ZERO, min(walks, degree)
                if walks < degree:
                    stride = _ALL // walks
                else:
                    each, extra = walks // degree, walks % degree
                    state, random = draw(state)
                    carry = multiply_wide(random, degree)[0]
            state, random = draw(state)
            if walks < degree:
                high, frac[jobs] = multiply_wide(i * stride + multiply_wide(random, stride)[0], degree)
                pos[jobs], size[jobs] = start + high, _ONE
            else:
                carry += extra
                more = _U(carry >= degree)
                carry -= degree * more
                pos[jobs], size[jobs], frac[jobs] = start + i, each + more, random
            prefetch(pin_boards, pos[jobs])
            who[jobs] = query
            i += _ONE
            jobs += _ONE
        if jobs == _ZERO:
            break
        for j in range(jobs):
            if pos[j] != _ALL:
                board[j] = _U(pin_boards[pos[j]])
            elif linked:
                board[j] = board_index[board[j]]
            if not linked:
                prefetch(board_index, board[j])
        job, k, points_left = _ZERO, _ZERO, _ZERO
        b_start, b_degree, b_walks, b_stride, b_each = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
        b_extra, b_carry, b_query, others, whole_start, whole_degree = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
        while True:
            points = _ZERO
            while points < _U(K):  # boards -> pins
                if k == points_left and others > _ZERO:  # the walks of the board in hand that take any pin
                    b_start, b_degree, b_walks, others = whole_start, whole_degree, others, _ZERO
                    state, random = draw(state)
                elif k == points_left:
                    if job == jobs:
                        break
                    node, b_query, b_walks = board[job], who[job], size[job]
                    random = frac[job]
                    job += _ONE
                    entry = node if linked else board_index[node]
                    b_start, b_degree = entry >> _BITS, entry & _MASK
                    if not linked and b_degree == _MASK:
                        b_degree = (board_index[node + _ONE] >> _BITS) - b_start
                    if bias_below:  # those that take only pins that match, when there are any
                        state, chance = draw(state)
                        taken, left = multiply_wide(b_walks, bias_below)
                        taken += _U(chance < left)
                        if taken > _ZERO:
                            end = first_at_least(board_pins, b_start, b_start + b_degree, bias_end)
                            match = first_at_least(board_pins, b_start, end, bias_start)
                            if match < end:
                                whole_start, whole_degree, others = b_start, b_degree, b_walks - taken
                                b_start, b_degree, b_walks = match, end - match, taken
                if k == points_left:
                    if b_walks == _ONE:
                        high, point_frac[points] = multiply_wide(random, b_degree)
                        point[points], point_who[points], point_size[points] = b_start + high, b_query, _ONE
                        prefetch(board_pins, point[points])
                        points += _ONE
                        continue
                    k, points_left = _ZERO, b_walks
                    b_stride = _ALL // b_walks
                    if b_walks >= b_degree:
                        points_left = b_degree
                        b_each, b_extra = b_walks // b_degree, b_walks % b_degree
                        b_carry = multiply_wide(random, b_degree)[0]
                state, random = draw(state)
                if b_walks < b_degree:
                    high, point_frac[points] = multiply_wide(
                        k * b_stride + multiply_wide(random, b_stride)[0], b_degree
                    )
                    point[points], point_size[points] = b_start + high, _ONE
                else:
                    b_carry += b_extra
                    more = _U(b_carry >= b_degree)
                    b_carry -= b_degree * more
                    point[points], point_size[points], point_frac[points] = b_start + k, b_each + more, random
                point_who[points] = b_query
                prefetch(board_pins, point[points])
                k += _ONE
                points += _ONE
            if points == _ZERO:
                break
            if n + points > _U(visited.size) or n_many + points > _U(many.size):
                return _ZERO, _ZERO, n, n_many, steps, state
            for j in range(points):
                link = _U(board_pins[point[j]])
                pin = link >> id_shift if linked else link
                visit = point_who[j] | pin
                walker = link if linked else visit
                count = point_size[j]
                steps += count
                key = (pin >> shift) * queries + (visit >> _SHIFT32)
                if count == _ONE:
                    hist[key] += 1
                    visited[n] = visit
                    n += _ONE
                    alive[survivors] = walker
                    if linked:
                        alive_query[survivors] = point_who[j]
                    survivors += _U(point_frac[j] < live_below)
                else:
                    hist[key] += np.int32((count + _U(WEIGHT_MAX - 1)) // _U(WEIGHT_MAX))
                    many[n_many], times[n_many] = visit, np.int64(count)
                    n_many += _ONE
                    lives, rest = multiply_wide(count, live_below)
                    lives += _U(point_frac[j] < rest)
                    if lives == _ONE:
                        alive[survivors] = walker
                        if linked:
                            alive_query[survivors] = point_who[j]
                        survivors += _ONE
                    elif lives > _ONE:
                        next_group[kept], next_size[kept] = walker, np.int64(lives)
                        if linked:
                            next_query[kept] = point_who[j]
                        kept += _ONE
    return kept, survivors, n, n_many, steps, state


@nb.njit(cache=True, nogil=True)
def walk_levels(graph, lanes, living, starts, from_board, walks, live_below, bias, state, trail, n, n_many, shift):  # type: ignore[no-untyped-def]
    """Walks `walks[q]` walks from each of Q start nodes, appending to `trail` from (n, n_many) on.

    starts int64[Q] (a pin, or a board where from_board[q]); live_below: a probability scaled to 2^64. Returns
    (n, n_many, steps, state).
    """
    queries = _U(starts.size)
    groups, row, steps, alive, first = _ZERO, 0, _ZERO, _ZERO, True
    for q in range(starts.size):
        if walks[q] > 0:
            living.many[0, groups], living.times[0, groups] = _U(q) << _SHIFT32 | _U(starts[q]), walks[q]
            groups += _ONE
    while alive > _ZERO or groups > _ZERO:
        before = n
        alive, n, state = step_singles(graph, lanes, living, alive, trail, n, live_below, bias, state, shift, queries)
        steps += n - before
        if n == _U(trail.one.size):
            break
        if groups > _ZERO:
            groups, alive, n, n_many, more, state = step_groups(
                graph, lanes, living, row, groups, starts, from_board, first, alive, trail, n, n_many, live_below,
                bias, state, shift, queries,
            )  # fmt: skip
            row, first, steps = 1 - row, False, steps + more
    return n, n_many, steps, state
