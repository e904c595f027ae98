"""What the compiled loops are made of: random words, wide products, prefetches, a node's edges. Knows no walks.

What runs at every step takes no array, inlined or not, except where it is rare: numba counts the references to an array
that is passed or taken out of a tuple, with atomic instructions, which made the walking loop three times slower.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX

_U = np.uint64
_BITS = _U(DEGREE_BITS)
_MASK = _U(DEGREE_MAX)
_ONE = _U(1)
_WY0 = _U(0xA0761D6478BD642F)
_WY1 = _U(0xE7037ED1A0B428DB)


@intrinsic
def multiply_wide(typingctx: Any, a: Any, b: Any) -> Any:
    """(high, low) words of the 128-bit product of two uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        low = builder.trunc(product, ir.IntType(64))
        return context.make_tuple(builder, signature.return_type, [high, low])

    return nb.types.UniTuple(nb.types.uint64, 2)(nb.types.uint64, nb.types.uint64), codegen


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Asks the CPU for the cache line of `array[index]`; never faults."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte_pointer = ir.IntType(8).as_pointer()
        i32 = ir.IntType(32)
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


@nb.njit(inline="always")
def unpack_entry(entry):  # type: ignore[no-untyped-def]
    """(first edge, degree) of a node from its word in the index; `DEGREE_MAX` stands for that degree and all above."""
    return entry >> _BITS, entry & _MASK


@nb.njit(inline="always")
def large_degree(index, node, start):  # type: ignore[no-untyped-def]
    """The degree of a node whose word does not hold it."""
    return (index[node + _ONE] >> _BITS) - start


@nb.njit(cache=True, nogil=True)
def first_at_least(values, start, end, bound):  # type: ignore[no-untyped-def]
    """The first index in [start, end) of ascending `values` that holds `bound` or more; `end` when none does."""
    while start < end:
        middle = (start + end) >> _ONE
        if values[middle] < bound:
            start = middle + _ONE
        else:
            end = middle
    return start
