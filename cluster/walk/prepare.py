"""A request in NumPy arrays before its walks: where they start, how many, and the tables that scoring reads.

Knows nothing of ids, of threads or of the compiled loops.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX
from cluster.walk.arrays import GraphArrays

_BITS = np.uint64(DEGREE_BITS)
_DEGREE_MAX = np.uint64(DEGREE_MAX)
_DISCOUNT_TABLE = 1 << 16
_POWER_TABLE = 1 << 12
_ALL_PINS = np.zeros(0, np.bool_)
_ALL_PINS.setflags(write=False)


def graph_arrays(graph: Graph) -> GraphArrays:
    """What the loops walk: the links where the graph has them."""
    links = graph.links
    if links is None:
        return GraphArrays(*graph.halves, np.uint64(0), np.uint64(0))
    return GraphArrays(
        pin_index=graph.pin_index,
        pin_boards=links.pin_boards,
        board_index=graph.board_index,
        board_pins=links.board_pins,
        id_shift=np.uint64(links.id_shift),
        degree_bits=np.uint64(links.degree_bits),
    )


def bucket_bits(n_pins: int) -> int:
    """log2 of the pins in a counting bucket: counters within the fast caches, some buckets even on small graphs."""
    return min(max(n_pins.bit_length() - 3, 8), 14) if n_pins <= 1 << 22 else 16


def start_weights(n_pins: int, n_boards: int, weights: Any, board_weights: Any) -> np.ndarray:
    """float64[n_pins + n_boards] weights of query pins, then of query boards; 1 where none are given.

    Raises ConfigError when there are more or fewer, or one is not finite.
    """
    out = np.ones(n_pins + n_boards)
    for given, part, what in (
        (weights, slice(0, n_pins), "query pins"),
        (board_weights, slice(n_pins, None), "query boards"),
    ):
        if given is None:
            continue
        values = np.asarray(given, np.float64).reshape(-1)
        expected = out[part].size
        if values.size != expected or not bool(np.all(np.isfinite(values))):
            raise ConfigError(f"weights of {what} must be {expected} finite numbers, got {values.size}")
        out[part] = values
    return out


def degrees_at(index: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """int64[Q]: edges of each node, 0 for unknown ones (-1); `index` is that of pins or of boards (`packing`).

    Raises ConfigError for nodes that the graph does not have.
    """
    if not nodes.size:
        return np.zeros(0, np.int64)
    n = index.size - 1
    if int(nodes.min()) < -1 or int(nodes.max()) >= n:
        raise ConfigError(f"a query index lies outside 0..{n - 1}")
    if not n:
        return np.zeros(nodes.size, np.int64)
    known = np.maximum(nodes, 0)
    degrees = (index[known] & _DEGREE_MAX).astype(np.int64)
    large = degrees == DEGREE_MAX
    degrees[large] = ((index[known[large] + 1] >> _BITS) - (index[known[large]] >> _BITS)).astype(np.int64)
    return np.where(nodes >= 0, degrees, 0)


def allowed_pins(allowed: np.ndarray | None, n_pins: int) -> np.ndarray:
    """bool[n_pins], or empty where all pins are allowed; read-only, so that kernels are compiled for one type.

    Raises ConfigError for another length.
    """
    if allowed is None:
        return _ALL_PINS
    if allowed.shape != (n_pins,) or allowed.dtype != np.bool_:
        raise ConfigError(f"allowed must be bool[{n_pins}], got {allowed.dtype}{list(allowed.shape)}")
    view = np.ascontiguousarray(allowed).view()
    view.setflags(write=False)
    return view


def walks_of(steps: np.ndarray, restart: float) -> np.ndarray:
    """int64[Q]: walks of mean length 1 / restart that take so many steps; one at least where there are any steps."""
    exact = steps * restart
    return np.where(exact > 0, np.maximum(np.rint(exact), 1), 0).astype(np.int64)


@lru_cache(maxsize=32)
def discounts(beta: float) -> np.ndarray:
    """float32[2^16]: degree^-beta; larger degrees share the last entry. Empty for beta 0."""
    if beta == 0.0:
        return np.zeros(0, np.float32)
    return np.asarray(np.maximum(np.arange(_DISCOUNT_TABLE, dtype=np.float64), 1.0) ** -beta, np.float32)


@lru_cache(maxsize=32)
def powers(boost: float) -> np.ndarray:
    """float32[4096]: visits^boost."""
    return np.asarray(np.arange(_POWER_TABLE, dtype=np.float64) ** boost, np.float32)


def scaled(probability: float) -> np.uint64:
    """A probability as the uint64 below which a random word must fall."""
    return np.uint64(min(int(probability * 2.0**64), 2**64 - 1))


def seed_state(seed: int) -> np.uint64:
    """Start of a request's own random stream: splitmix64 of the seed, so that neighbouring seeds share nothing."""
    z = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return np.uint64(z ^ (z >> 31))
