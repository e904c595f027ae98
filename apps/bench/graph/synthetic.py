"""Graphs for the walk bench: seeded, topical, power-law pin–board graphs of any size. Knows nothing of walks.

Boards belong to one of many topics; a pin's popularity within its topic follows a power law, and a share of each
board's pins is drawn from all topics. Board sizes are log-normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numba as nb
import numpy as np

from cluster.graph.csr import Graph


class Shape(NamedTuple):
    """Size of a generated graph; edges are what is left after repeats are dropped from `edges` draws."""

    pins: int
    boards: int
    edges: int
    topics: int


SHAPES = {
    "big": Shape(2_000_000, 500_000, 42_000_000, 2_000),
    "small": Shape(10_000, 55_000, 1_650_000, 50),
    "quick": Shape(50_000, 12_000, 1_000_000, 100),
}
ACROSS_TOPICS = 0.2  # share of a board's pins drawn from all pins
SKEW = 2.2  # pin rank within a topic = size * u^SKEW: popularity falls as rank^(1/SKEW - 1)


@nb.njit(cache=True)
def _draw_pins(boards, n_pins, topics, topic_of_board, rank_to_pin, seed, out):  # type: ignore[no-untyped-def]
    np.random.seed(seed)
    size = n_pins // topics
    for e in range(boards.size):
        rank = int(size * np.random.random() ** SKEW)
        topic = topic_of_board[boards[e]]
        if np.random.random() < ACROSS_TOPICS:
            topic = int(topics * np.random.random())
        out[e] = rank_to_pin[topic * size + rank]


def make(name: str, seed: int = 1) -> Graph:
    """The graph of SHAPES[name]."""
    return make_shape(SHAPES[name], seed)


def make_shape(shape: Shape, seed: int = 1) -> Graph:
    """A graph of any shape. Pin indices are shuffled, so popular pins do not lie side by side."""
    return Graph.from_edges(*draw_edges(shape, seed)[:2], shape.boards, shape.pins)


def draw_edges(shape: Shape, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(boards int32[E], pins int32[E], topic of each pin int32[pins]); repeats are possible."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0.0, 1.0, shape.boards)
    sizes = np.maximum(1, np.rint(weight * (shape.edges / weight.sum()))).astype(np.int64)
    boards = np.repeat(np.arange(shape.boards, dtype=np.int32), sizes)
    pins = np.empty(boards.size, np.int32)
    topic_of_board = rng.integers(0, shape.topics, shape.boards)
    rank_to_pin = rng.permutation(shape.pins).astype(np.int32)
    _draw_pins(boards, shape.pins, shape.topics, topic_of_board, rank_to_pin, seed, pins)
    topic = np.empty(shape.pins, np.int32)
    topic[rank_to_pin] = np.minimum(np.arange(shape.pins) // (shape.pins // shape.topics), shape.topics - 1)
    return boards, pins, topic


def stream_edges(shape: Shape, seed: int = 1, slab: int = 4_000_000) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(boards int32[slab], pins int32[slab]) at a time, in random order, of graphs that no memory is to hold.

    Of the kind of `draw_edges`, but a board's size is random beside its weight.
    """
    rng = np.random.default_rng(seed)
    upto = np.cumsum(rng.lognormal(0.0, 1.0, shape.boards))
    topic_of_board = rng.integers(0, shape.topics, shape.boards)
    rank_to_pin = rng.permutation(shape.pins).astype(np.int32)
    for at in range(0, shape.edges, slab):
        n = min(slab, shape.edges - at)
        boards = np.searchsorted(upto, rng.random(n) * upto[-1], side="right").astype(np.int32)
        pins = np.empty(n, np.int32)
        _draw_pins(boards, shape.pins, shape.topics, topic_of_board, rank_to_pin, seed + at, pins)
        yield boards, pins


def query_pins(graph: Graph, count: int, seed: int) -> np.ndarray:
    """int32[count] distinct query pins: a pin is drawn as often as it was saved, degree 5 at least."""
    rng = np.random.default_rng(seed)
    found: list[int] = []
    while len(found) < count:
        pin = int(graph.board_pins[rng.integers(0, graph.n_edges)])
        if graph.pin_degree[pin] >= min(5, graph.max_pin_degree) and pin not in found:
            found.append(pin)
    return np.array(found, np.int32)
