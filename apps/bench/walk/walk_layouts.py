"""Four layouts of the graph for walking: time of a step, bytes of an edge.

CSR, CSR ordered by degree, bit-packed ids, edges that hold offsets.

Single steps only (pin -> board -> pin), in alternation on one pinned core, by the same lockstep loop. The walker uses
the first layout; the others are here to know what they would give. Knows nothing of requests.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from apps.bench.graph.synthetic import make, query_pins
from apps.bench.machine import machine
from cluster.graph.csr import Graph
from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX
from cluster.walk.intrinsics import draw, multiply_wide, prefetch

WALKS = 50_000
LENGTH = 4
BLOCK = 256
_U = np.uint64
_BITS = _U(DEGREE_BITS)
_MASK = _U(DEGREE_MAX)


def run(quick: bool = False, repeats: int = 15) -> dict[str, Any]:
    """ns_per_step, bytes_per_edge and time relative to CSR, by layout."""
    graph = make("quick" if quick else "big")
    new_index = np.empty(graph.n_pins, np.int64)
    ordered = by_degree(graph, new_index)
    starts = query_pins(graph, 50, 3).astype(np.int64)
    walkers = {"csr": starts, "degree_order": new_index[starts], "bit_packed": starts, "offsets_in_edges": starts}
    packed = [pack(a, n) for a, n in ((graph.pin_boards, graph.n_boards), (graph.board_pins, graph.n_pins))]
    wide = (graph.board_index[graph.pin_boards], graph.pin_index[graph.board_pins])
    index = graph.pin_index.nbytes + graph.board_index.nbytes
    layouts: dict[str, tuple[Callable[..., Any], tuple[Any, ...], int]] = {
        "csr": (step_csr, (graph.pin_index, graph.pin_boards, graph.board_index, graph.board_pins), graph.nbytes),
        "degree_order": (
            step_csr,
            (ordered.pin_index, ordered.pin_boards, ordered.board_index, ordered.board_pins),
            ordered.nbytes,
        ),
        "bit_packed": (
            step_packed,
            (graph.pin_index, packed[0], width(graph.n_boards), graph.board_index, packed[1], width(graph.n_pins)),
            packed[0].nbytes + packed[1].nbytes + index,
        ),
        "offsets_in_edges": (step_wide, (graph.pin_index, *wide), wide[0].nbytes + wide[1].nbytes + index),
    }
    times: dict[str, list[float]] = {name: [] for name in layouts}
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    scratch = [np.zeros(BLOCK, np.uint64) for _ in range(2)]
    try:
        for turn in range(repeats + 1):
            for name, (step, arrays, _) in layouts.items():
                walks = np.repeat(walkers[name], WALKS // 50).astype(np.uint64)
                if name == "offsets_in_edges":
                    walks = graph.pin_index[walks.astype(np.int64)].copy()
                began = time.thread_time()
                step(*arrays, walks, *scratch, _U(turn))
                if turn:
                    times[name].append(1e9 * (time.thread_time() - began) / (walks.size * LENGTH))
    finally:
        os.sched_setaffinity(0, allowed)
    spent = {name: median(values) for name, values in times.items()}
    return {
        "ns_per_step": spent,
        "bytes_per_edge": {name: layout[2] / graph.n_edges for name, layout in layouts.items()},
        "time": {name: value / spent["csr"] for name, value in spent.items()},
        "edges": graph.n_edges,
        "machine": machine(),
    }


def by_degree(graph: Graph, new_index: np.ndarray) -> Graph:
    """The graph numbered by falling degree on both sides; `new_index` int64[n_pins] gets each pin's index in it."""
    order = np.argsort(-graph.pin_degree, kind="stable")
    new_index[order] = np.arange(graph.n_pins)
    boards = np.empty(graph.n_boards, np.int32)
    boards[np.argsort(-graph.board_degree, kind="stable")] = np.arange(graph.n_boards, dtype=np.int32)
    edges = np.repeat(boards, graph.board_degree), new_index.astype(np.int32)[graph.board_pins]
    return Graph.from_edges(*edges, graph.n_boards, graph.n_pins)


def width(n: int) -> np.uint64:
    """Bits that an index below n takes."""
    return _U(max(int(n - 1).bit_length(), 1))


def pack(values: np.ndarray, n: int) -> np.ndarray:
    """uint8: `width(n)` bits a value, lowest first, and 8 spare bytes so that any value is one 64-bit load."""
    bits = width(n)
    out = np.zeros(int(values.size * int(bits) + 7) // 8 + 8, np.uint8)
    _pack(values, bits, out)
    return out


@nb.njit(cache=True)
def _pack(values, bits, out):  # type: ignore[no-untyped-def]
    for i in range(_U(values.size)):
        at = i * bits
        value = _U(values[i]) << ((i * bits) & _U(7))
        byte = at >> _U(3)
        while value:
            out[byte] |= np.uint8(value & _U(0xFF))
            value >>= _U(8)
            byte += _U(1)


@intrinsic
def _word(typingctx: Any, array: Any, byte: Any) -> Any:
    """The 8 bytes of a uint8 array from `byte` on, as uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load(builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(64).as_pointer()), align=1)

    return nb.types.uint64(array, nb.types.uint64), codegen


@nb.njit(inline="always")
def _load(packed, at, bits):  # type: ignore[no-untyped-def]
    return (_word(packed, (at * bits) >> _U(3)) >> ((at * bits) & _U(7))) & ((_U(1) << bits) - _U(1))


@nb.njit(cache=True)
def step_csr(pin_index, pin_boards, board_index, board_pins, walks, pos, frac, state):  # type: ignore[no-untyped-def]
    for _ in range(LENGTH):
        for begin in range(_U(0), _U(walks.size), _U(BLOCK)):
            size = min(_U(BLOCK), _U(walks.size) - begin)
            for j in range(size):
                prefetch(pin_index, walks[begin + j])
            for j in range(size):
                entry = pin_index[walks[begin + j]]
                state, random = draw(state)
                high, frac[j] = multiply_wide(random, entry & _MASK)
                pos[j] = (entry >> _BITS) + high
                prefetch(pin_boards, pos[j])
            for j in range(size):
                pos[j] = _U(pin_boards[pos[j]])
                prefetch(board_index, pos[j])
            for j in range(size):
                entry = board_index[pos[j]]
                pos[j] = (entry >> _BITS) + multiply_wide(frac[j], entry & _MASK)[0]
                prefetch(board_pins, pos[j])
            for j in range(size):
                walks[begin + j] = _U(board_pins[pos[j]])


@nb.njit(cache=True)
def step_packed(pin_index, pin_boards, board_bits, board_index, board_pins, pin_bits, walks, pos, frac, state):  # type: ignore[no-untyped-def]
    for _ in range(LENGTH):
        for begin in range(_U(0), _U(walks.size), _U(BLOCK)):
            size = min(_U(BLOCK), _U(walks.size) - begin)
            for j in range(size):
                prefetch(pin_index, walks[begin + j])
            for j in range(size):
                entry = pin_index[walks[begin + j]]
                state, random = draw(state)
                high, frac[j] = multiply_wide(random, entry & _MASK)
                pos[j] = (entry >> _BITS) + high
                prefetch(pin_boards, (pos[j] * board_bits) >> _U(3))
            for j in range(size):
                pos[j] = _load(pin_boards, pos[j], board_bits)
                prefetch(board_index, pos[j])
            for j in range(size):
                entry = board_index[pos[j]]
                pos[j] = (entry >> _BITS) + multiply_wide(frac[j], entry & _MASK)[0]
                prefetch(board_pins, (pos[j] * pin_bits) >> _U(3))
            for j in range(size):
                walks[begin + j] = _load(board_pins, pos[j], pin_bits)


@nb.njit(cache=True)
def step_wide(pin_index, pin_boards, board_pins, walks, pos, frac, state):  # type: ignore[no-untyped-def]
    for _ in range(LENGTH):
        for begin in range(_U(0), _U(walks.size), _U(BLOCK)):
            size = min(_U(BLOCK), _U(walks.size) - begin)
            for j in range(size):
                entry = walks[begin + j]
                state, random = draw(state)
                high, frac[j] = multiply_wide(random, entry & _MASK)
                pos[j] = (entry >> _BITS) + high
                prefetch(pin_boards, pos[j])
            for j in range(size):
                entry = pin_boards[pos[j]]
                pos[j] = (entry >> _BITS) + multiply_wide(frac[j], entry & _MASK)[0]
                prefetch(board_pins, pos[j])
            for j in range(size):
                walks[begin + j] = board_pins[pos[j]]
