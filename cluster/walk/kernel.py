"""The walking loop: K walkers in lockstep over a CSR graph, compiled. Knows nothing of ids, counting or parameters.

A step is pin -> board -> pin. All walks of a request advance level by level: level 1 holds every walk's first step,
and each walk lives on to the next level with probability 1 - restart, so lengths are geometric as in Pixie. Walks that
stand on one pin travel as one group (`walk_groups`) until they part; single walks are advanced here. Levels are cut
into blocks of K walkers; within a block each phase issues the memory prefetches of the next, so that K cache misses
overlap instead of one following the other.

One 64-bit draw makes a whole step: multiplied by the pin's degree, its high word picks the board; the low word, still
uniform, multiplied by the board's degree picks the pin; what is left decides whether the walk lives on.

Where the edges hold links (`packing`), a walker is the link that led to its pin, with its query beside it; then a step
reads two random lines. Otherwise it is query and pin, and the indices of both nodes are read as well.

No helper function takes an array inside the loop: numba counts references at each call, with atomic instructions, which
made it three times slower.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX

K = 256  # walkers in a block

_U = np.uint64
_BITS = _U(DEGREE_BITS)
_MASK = _U(DEGREE_MAX)
_ONE = _U(1)
_LOW32 = _U(0xFFFFFFFF)
_SHIFT32 = _U(32)
_WY0 = _U(0xA0761D6478BD642F)
_WY1 = _U(0xE7037ED1A0B428DB)


class GraphArrays(NamedTuple):
    """A graph as `cluster.graph.csr` or, with links in both halves, as `cluster.graph.packing` lays it out."""

    pin_index: Any
    pin_boards: Any
    board_index: Any
    board_pins: Any
    id_shift: Any  # uint64; 0 without links
    degree_bits: Any  # uint64; 0 without links


class Lanes(NamedTuple):
    """Scratch of one block, K uint64 each: edge position, unused randomness, query, board; and of groups' points."""

    pos: Any
    frac: Any
    who: Any
    board: Any
    size: Any
    point: Any
    point_frac: Any
    point_who: Any
    point_size: Any


class Trail(NamedTuple):
    """Visits of a request, `query << 32 | pin`, uint64."""

    one: Any  # single visits
    many: Any  # several visits at once
    times: Any  # int64: how many, beside `many`
    hist: Any  # int32[buckets * Q]: entries that counting will make of them, by (pin >> shift, query)


class Living(NamedTuple):
    """Walks that live on: `query << 32 | pin`, or links. Groups swap between two rows from level to level."""

    one: Any  # uint64
    query: Any  # uint64, beside links: query << 32
    many: Any  # walkers that stand for several walks, two rows
    many_query: Any  # beside links
    times: Any  # int64, two rows: how many


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


@intrinsic
def holds_links(typingctx: Any, array: Any) -> Any:
    """Whether edges hold links: known when a kernel is compiled, so that each layout gets a kernel of its own."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(array.dtype == nb.types.uint64))

    return nb.types.boolean(array), codegen


@nb.njit(inline="always")
def draw(state):  # type: ignore[no-untyped-def]
    """wyrand: (next state, 64 random bits)."""
    state = state + _WY0
    high, low = multiply_wide(state, state ^ _WY1)
    return state, high ^ low


@nb.njit(cache=True, nogil=True)
def first_at_least(values, start, end, bound):  # type: ignore[no-untyped-def]
    """The first index in start..end whose value, sorted upwards there, is at least `bound`; `end` if none is."""
    while start < end:
        middle = (start + end) >> _ONE
        if values[middle] < bound:
            start = middle + _ONE
        else:
            end = middle
    return start


@nb.njit(cache=True, nogil=True)
def step_singles(graph, lanes, living, n_alive, trail, n, live_below, bias, state, shift, queries):  # type: ignore[no-untyped-def]
    """One step of the first `n_alive` single walks; survivors move to the front. Returns (survivors, visits, state).

    bias: (below, start, end): with probability below / 2^64 a step takes only pins of [start, end). Counts are uint64:
    a signed index costs instructions for what Python does with negative ones.
    """
    pin_index, pin_boards, board_index, board_pins, id_shift, degree_bits = graph
    linked, offset_mask = holds_links(pin_boards), (_ONE << (id_shift - degree_bits)) - _ONE
    degree_mask = (_ONE << degree_bits) - _ONE
    pos, frac, who, board = lanes.pos, lanes.frac, lanes.who, lanes.board
    alive, query, visited, hist = living.one, living.query, trail.one, trail.hist
    bias_below, bias_start, bias_end = bias[0], bias[1] << id_shift, bias[2] << id_shift
    begin, survivors, room = _U(0), _U(0), _U(visited.size)
    while begin < n_alive and n < room:
        size = min(_U(K), n_alive - begin, room - n)
        if not linked:
            for j in range(size):
                prefetch(pin_index, alive[begin + j] & _LOW32)
        for j in range(size):
            walker = alive[begin + j]
            start, count = (walker >> degree_bits) & offset_mask, walker & degree_mask
            if not linked or count == degree_mask:
                node = walker >> id_shift if linked else walker & _LOW32
                entry = pin_index[node]
                start, count = entry >> _BITS, entry & _MASK
                if count == _MASK:
                    count = (pin_index[node + _ONE] >> _BITS) - start
            who[j] = query[begin + j] if linked else walker & ~_LOW32
            state, random = draw(state)
            high, frac[j] = multiply_wide(random, count)
            pos[j] = start + high
            prefetch(pin_boards, pos[j])
        if not linked:
            for j in range(size):
                board[j] = _U(pin_boards[pos[j]])
                prefetch(board_index, board[j])
        for j in range(size):
            entry = _U(pin_boards[pos[j]]) if linked else board_index[board[j]]
            start, count = entry >> _BITS, entry & _MASK
            if not linked and count == _MASK:
                count = (board_index[board[j] + _ONE] >> _BITS) - start
            if bias_below:
                state, random = draw(state)
                if random < bias_below:  # only the subrange of neighbours that match; the whole range when none does
                    end = first_at_least(board_pins, start, start + count, bias_end)
                    begin_match = first_at_least(board_pins, start, end, bias_start)
                    if begin_match < end:
                        start, count = begin_match, end - begin_match
            high, frac[j] = multiply_wide(frac[j], count)
            pos[j] = start + high
            prefetch(board_pins, pos[j])
        for j in range(size):
            walker = _U(board_pins[pos[j]])
            pin = walker >> id_shift if linked else walker
            visited[n] = who[j] | pin
            n += _ONE
            hist[(pin >> shift) * queries + (who[j] >> _SHIFT32)] += 1
            if linked:  # never ahead of what this level still has to read
                alive[survivors], query[survivors] = walker, who[j]
            else:
                alive[survivors] = who[j] | pin
            survivors += _U(frac[j] < live_below)
        begin += size
    return survivors, n, state
