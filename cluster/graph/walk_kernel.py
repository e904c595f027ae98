"""The walking loop: K walkers in lockstep over a CSR graph, compiled. Knows nothing of ids, counting or parameters.

A step is pin -> board -> pin. All walks of a request advance level by level: level 1 holds every walk's first step,
and each walk lives on to the next level with probability 1 - restart, so lengths are geometric as in Pixie. Levels are
cut into blocks of K walkers; within a block each phase issues the memory prefetches of the next, so that K cache misses
overlap instead of one following the other.

One 64-bit draw makes a whole step: multiplied by the pin's degree, its high word picks the board; the low word, still
uniform, multiplied by the board's degree picks the pin; what is left decides whether the walk lives on. On level 1 the
draw of walk i of m is (i + u) / m: the boards of the query pin, and the pins on them, are visited in proportion instead
of by luck (stratified sampling), which is unbiased and takes most of the variance out of half of all steps.

No helper function takes an array inside the loop: numba counts references at each call, with atomic instructions, which
made it three times slower.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from cluster.graph.csr import DEGREE_BITS, DEGREE_MAX

K = 128  # walkers in a block

_U = np.uint64
_BITS = _U(DEGREE_BITS)
_MASK = _U(DEGREE_MAX)
_ONE = _U(1)
_ALL = _U(0xFFFFFFFFFFFFFFFF)
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_WY0 = _U(0xA0761D6478BD642F)
_WY1 = _U(0xE7037ED1A0B428DB)
_AT_BOARD = _ALL  # position of a walker that starts on a board and so has no pin -> board hop


class GraphArrays(NamedTuple):
    """The four arrays of `cluster.graph.csr.Graph`."""

    pin_index: Any
    pin_boards: Any
    board_index: Any
    board_pins: Any


class Lanes(NamedTuple):
    """Scratch of one block, K entries each: edge position, unused randomness, query, board."""

    pos: Any
    frac: Any
    who: Any
    board: Any


@intrinsic
def multiply_wide(typingctx: Any, a: Any, b: Any) -> Any:
    """(high, low) words of the 128-bit product of two uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        return context.make_tuple(builder, signature.return_type, [high, builder.trunc(product, ir.IntType(64))])

    return nb.types.UniTuple(nb.types.uint64, 2)(nb.types.uint64, nb.types.uint64), codegen


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Asks the CPU for the cache line of `array[index]`; never faults."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte_pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        target = builder.bitcast(builder.gep(data, [args[1]]), byte_pointer)
        function_type = ir.FunctionType(ir.VoidType(), [byte_pointer, i32, i32, i32])
        function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, function_type, name="llvm.prefetch.p0"
        )
        builder.call(function, [target, i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return nb.types.void(array, nb.types.uint64), codegen


@nb.njit(inline="always")
def draw(state):  # type: ignore[no-untyped-def]
    """wyrand: (next state, 64 random bits)."""
    state = state + _WY0
    high, low = multiply_wide(state, state ^ _WY1)
    return state, high ^ low


@nb.njit(cache=True, nogil=True)
def _first_at_least(values, start, end, bound):  # type: ignore[no-untyped-def]
    while start < end:
        middle = (start + end) >> _ONE
        if values[middle] < bound:
            start = middle + _ONE
        else:
            end = middle
    return start


@nb.njit(cache=True, nogil=True)
def walk_levels(  # type: ignore[no-untyped-def]
    graph,
    lanes,
    starts,
    from_board,
    walks,
    live_below,
    bias_below,
    bias_start,
    bias_end,
    state,
    alive,
    visited,
    n,
    limit,
    shift,
    hist,
):
    """Walks `walks[q]` walks from each of Q start nodes and appends every visit `q << 32 | pin` to `visited`.

    starts int64[Q] (a pin, or a board where from_board[q]); live_below, bias_below: probabilities scaled to 2^64;
    hist int32[buckets * Q] counts visits by (pin >> shift, q). Stops appending at `limit`. Returns (n, state).
    """
    pin_index, pin_boards, board_index, board_pins = graph
    pos, frac, who, board = lanes
    queries = starts.size
    n_alive = 0
    for q in range(queries):
        n_alive += walks[q]
    first = True
    q, i = 0, 0  # the next walk to start, on level 1
    stride, degree, offset = _U(0), _U(0), _U(0)
    while n_alive > 0:
        survivors = 0
        for begin in range(0, n_alive, K):
            size = min(K, n_alive - begin)
            size = min(size, limit - n)
            if first:
                for j in range(size):
                    while i == walks[q]:
                        q, i = q + 1, 0
                    if i == 0:
                        node = _U(starts[q])
                        stride = _ALL // _U(walks[q])
                        if not from_board[q]:
                            entry = pin_index[node]
                            degree, offset = entry & _MASK, entry >> _BITS
                            if degree == _MASK:
                                degree = (pin_index[node + _ONE] >> _BITS) - offset
                    state, random = draw(state)
                    random = _U(i) * stride + multiply_wide(random, stride)[0]
                    who[j] = _U(q) << _SHIFT32
                    if from_board[q]:
                        pos[j], board[j], frac[j] = _AT_BOARD, _U(starts[q]), random
                    else:
                        high, frac[j] = multiply_wide(random, degree)
                        pos[j] = offset + high
                        prefetch(pin_boards, pos[j])
                    i += 1
                for j in range(size):
                    if pos[j] != _AT_BOARD:
                        board[j] = _U(pin_boards[pos[j]])
                    prefetch(board_index, board[j])
            else:
                for j in range(size):
                    prefetch(pin_index, alive[begin + j] & _LOW32)
                for j in range(size):
                    walker = alive[begin + j]
                    node = walker & _LOW32
                    entry = pin_index[node]
                    start, count = entry >> _BITS, entry & _MASK
                    if count == _MASK:
                        count = (pin_index[node + _ONE] >> _BITS) - start
                    state, random = draw(state)
                    high, frac[j] = multiply_wide(random, count)
                    pos[j] = start + high
                    who[j] = walker ^ node
                    prefetch(pin_boards, pos[j])
                for j in range(size):
                    board[j] = _U(pin_boards[pos[j]])
                    prefetch(board_index, board[j])
            for j in range(size):
                node = board[j]
                entry = board_index[node]
                start, count = entry >> _BITS, entry & _MASK
                if count == _MASK:
                    count = (board_index[node + _ONE] >> _BITS) - start
                if bias_below:
                    state, random = draw(state)
                    if (
                        random < bias_below
                    ):  # only the subrange of neighbours that match; the whole range when none does
                        end = _first_at_least(board_pins, start, start + count, bias_end)
                        begin_match = _first_at_least(board_pins, start, end, bias_start)
                        if begin_match < end:
                            start, count = begin_match, end - begin_match
                high, frac[j] = multiply_wide(frac[j], count)
                pos[j] = start + high
                prefetch(board_pins, pos[j])
            for j in range(size):
                pin = _U(board_pins[pos[j]])
                walker = who[j] | pin
                visited[n] = walker
                n += 1
                hist[(pin >> shift) * _U(queries) + (who[j] >> _SHIFT32)] += 1
                alive[survivors] = walker  # never ahead of what this level still has to read
                survivors += int(frac[j] < live_below)
            if n == limit:
                return n, state
        n_alive = survivors
        first = False
    return n, state
