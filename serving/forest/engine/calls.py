"""What numba's Python lacks for the kernel: bit counts, addresses as arrays, calls of native functions by address.

Knows nothing of models or requests.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD = ir.IntType(64)


@intrinsic
def popcount(context: Any, word: Any) -> Any:
    """Number of set bits of a uint64."""
    return types.uint64(types.uint64), lambda _, builder, __, values: builder.ctpop(values[0])


@intrinsic
def lowest(context: Any, word: Any) -> Any:
    """Position of the lowest set bit of a uint64 that is not 0."""

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@intrinsic
def both_alive(context: Any, left: Any, right: Any, live: Any) -> Any:
    """8 bits: bit i is set if `live` meets both left[i] and right[i], uint64[8] at the addresses given."""

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        eight = ir.VectorType(_WORD, 8)
        nothing = ir.Constant(eight, None)
        live_8 = builder.insert_element(ir.Constant(eight, ir.Undefined), values[2], ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 8), None)
        live_8 = builder.shuffle_vector(live_8, ir.Constant(eight, ir.Undefined), mask)
        sides = []
        for address in values[:2]:
            pointer = builder.inttoptr(address, eight.as_pointer())
            side = builder.load(pointer, align=8)
            sides.append(builder.icmp_unsigned("!=", builder.and_(side, live_8), nothing))
        bits = builder.bitcast(builder.and_(*sides), ir.IntType(8))
        return builder.zext(bits, _WORD)

    return types.uint64(types.int64, types.int64, types.uint64), generate


def _pointer_to(dtype: Any) -> Any:
    @intrinsic
    def pointer(context: Any, address: Any) -> Any:
        def generate(ctx: Any, builder: Any, __: Any, values: Any) -> Any:
            return builder.inttoptr(values[0], ctx.get_value_type(types.CPointer(dtype)))

        return types.CPointer(dtype)(types.int64), generate

    return pointer


float32_at = _pointer_to(types.float32)
int32_at = _pointer_to(types.int32)
int64_at = _pointer_to(types.int64)
uint64_at = _pointer_to(types.uint64)
uint8_at = _pointer_to(types.uint8)


@intrinsic
def call_native(context: Any, function: Any, arguments: Any) -> Any:
    """Call the native function at an address with a tuple of int64."""
    count = len(arguments)

    def generate(_: Any, builder: Any, __: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_WORD] * count)
        pointer = builder.inttoptr(values[0], kind.as_pointer())
        builder.call(pointer, [builder.extract_value(values[1], i) for i in range(count)])
        return ir.Constant(_WORD, 0)

    return types.int64(types.int64, types.UniTuple(types.int64, count)), generate
