"""Pixie random walks over one graph: query pins in, candidates out. Knows nothing of Ray, features or serving.

Source: Eksombatchai et al., "Pixie: A System for Recommending 3+ Billion Items to 200+ Million Users in Real-Time",
WWW 2018. The loops are in `walk_request` and below; here are parameters, step allocation and ids.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.graph.ids import IdMap
from cluster.walk.kernel import GraphArrays
from cluster.walk.memory import Memory
from cluster.walk.request import run_request
from cluster.walk.weights import allocate

_DISCOUNT_TABLE = 1 << 16
_POWER_TABLE = 1 << 12


@dataclass(frozen=True)
class WalkParams:
    """Parameters of a request; one set per client. Counts are pins or steps; shares are 0..1.

    steps: budget of pin -> board -> pin steps over all query pins (the walk lengths are random, so the steps walked
    differ from it by a fraction of a percent). restart: probability that a walk ends after a step. n_p, n_v: a query
    pin stops early once n_p pins have n_v visits each from it (0: never). hub: C of the step allocation
    s = |E| (C - log |E|), from the largest degree: "log" is its logarithm, "linear" the degree itself (hubs gain more),
    "uniform" gives every query pin s = 1. hub_power: exponent of |E| in s; below 1 popular query pins get less.
    bias_share: share of steps that take only neighbours of the wanted locale.
    boost: b of the multi-hit booster (sum_q V_q^b)^(1/b); 0.5 is the paper's, 1 the plain sum.
    popularity_discount: the visit count is divided by degree^beta. drop_query: leave the query pins out of the answer.
    """

    steps: int = 200_000
    restart: float = 0.5
    n_p: int = 0
    n_v: int = 0
    top_k: int = 2000
    min_visits: int = 1
    boost: float = 0.5
    popularity_discount: float = 0.0
    hub: Literal["log", "linear", "uniform"] = "log"
    hub_power: float = 1.0
    bias_share: float = 0.0
    drop_query: bool = True

    def __post_init__(self) -> None:
        for name, low, high in (("steps", 1, 2**30), ("top_k", 1, 2**23), ("min_visits", 1, 2**30), ("n_p", 0, 2**31),
                                ("n_v", 0, 2**31), ("restart", 0.01, 1.0), ("bias_share", 0.0, 1.0),
                                ("popularity_discount", 0.0, 4.0), ("hub_power", 0.0, 1.0),
                                ("boost", 0.1, 1.0)):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"walk parameter {name} must be in {low}..{high}, got {getattr(self, name)!r}")
        if self.hub not in ("log", "linear", "uniform"):
            raise ConfigError(f'walk parameter hub must be "log", "linear" or "uniform", got {self.hub!r}')


@dataclass(frozen=True)
class WalkResult:
    """Candidates of one request, best first.

    pins int32[n] indices; scores float32[n] boosted (and discounted) visit counts; visits int32[n]; hits int16[n] query
    pins that reached the pin; by_query uint32[n, Q] visits per query pin, in the order they were given (then boards).
    steps: steps walked.
    """

    pins: np.ndarray
    scores: np.ndarray
    visits: np.ndarray
    hits: np.ndarray
    by_query: np.ndarray
    steps: int
    id_map: IdMap

    @property
    def pin_ids(self) -> np.ndarray:
        """Ids of `pins`: int64[n], or object[n] of str."""
        return self.id_map.ids_of(self.pins)


@lru_cache(maxsize=32)
def _discounts(beta: float) -> np.ndarray:
    """float32[2^16]: degree^-beta; larger degrees share the last entry. Empty for beta 0."""
    if beta == 0.0:
        return np.zeros(0, np.float32)
    return np.asarray(np.maximum(np.arange(_DISCOUNT_TABLE, dtype=np.float64), 1.0) ** -beta, np.float32)


@lru_cache(maxsize=32)
def _powers(boost: float) -> np.ndarray:
    """float32[4096]: visits^boost."""
    return np.asarray(np.arange(_POWER_TABLE, dtype=np.float64) ** boost, np.float32)


class Walker:
    """Walks one graph. Thread-safe: each thread keeps its own working memory, reused from request to request."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._arrays = _arrays(graph)
        self._max_degree = graph.max_pin_degree
        self._shift = _bucket_bits(graph.n_pins)
        self._local = threading.local()

    @classmethod
    def open(cls, directory: str | Path) -> Walker:
        """Maps a saved graph. Raises BundleError."""
        return cls(Graph.open(directory))

    def walk(
        self, query_pins: Any, weights: Any = None, *, params: WalkParams | None = None, steps: int | None = None,
        seed: int = 0, exclude: Any = None, bias_locale: int | str | None = None, query_boards: Any = None,
        board_weights: Any = None,
    ) -> WalkResult:  # fmt: skip
        """Candidates for query pins (and boards) given by id.

        weights, board_weights: float[Q], default 1. exclude: ids that may not be answered. bias_locale: a locale of the
        graph, by code or name, used when `params.bias_share` > 0. Unknown ids and isolated pins get no steps; their
        columns of `by_query` stay 0.
        """
        chosen = params or WalkParams()
        if steps is not None:
            chosen = replace(chosen, steps=steps)
        pins = self.graph.pin_ids.index_of(query_pins)
        boards = np.zeros(0, np.int32) if query_boards is None else self.graph.board_ids.index_of(query_boards)
        dropped = None if exclude is None else self.graph.pin_ids.index_of(exclude)
        bias = (0, 0) if bias_locale is None else self.graph.locale_range(bias_locale)
        return self.walk_indices(
            pins,
            weights,
            params=chosen,
            seed=seed,
            exclude=dropped,
            bias=bias,
            boards=boards,
            board_weights=board_weights,
        )

    def walk_indices(
        self, pins: Any, weights: Any = None, *, params: WalkParams | None = None, seed: int = 0, exclude: Any = None,
        bias: tuple[int, int] = (0, 0), boards: Any = None, board_weights: Any = None,
    ) -> WalkResult:  # fmt: skip
        """`walk` on indices: pins int32[Q] (-1: unknown), exclude int32[n], bias: pin range [start, end)."""
        p, graph = params or WalkParams(), self.graph
        starts, from_board, budget = self._allocate(p, pins, weights, boards, board_weights)
        exact = budget * p.restart
        walks = np.where(exact > 0, np.maximum(np.rint(exact), 1), 0).astype(np.int64)
        queries, total = starts.size, int(walks.sum())
        by_query = np.zeros((p.top_k + 1, queries), np.uint32)
        out = (
            np.empty(p.top_k, np.int32),
            np.empty(p.top_k, np.float32),
            np.empty(p.top_k, np.int32),
            np.empty(p.top_k, np.int16),
        )
        m = n = 0
        if total:
            memory = self._memory(total, p, queries)
            own = np.asarray(starts[~from_board], np.int32) if p.drop_query else np.zeros(0, np.int32)
            barred = own if exclude is None else np.concatenate([own, np.asarray(exclude, np.int32)])
            m, n = run_request(
                self._arrays, memory, np.maximum(starts, 0), from_board, walks, _scaled(1.0 - p.restart),
                _scaled(p.bias_share if bias[1] > bias[0] else 0.0), np.uint64(bias[0]), np.uint64(bias[1]),
                _seed_state(seed), self._shift,
                p.n_p, p.n_v, np.unique(barred[barred >= 0]), p.min_visits, np.float32(p.boost), _powers(p.boost),
                _discounts(p.popularity_discount), p.top_k,
                by_query, *out,
            )  # fmt: skip
        found, scores, visits, hits = (a[:m] for a in out)
        return WalkResult(found, scores, visits, hits, by_query[1 : m + 1], n, graph.pin_ids)

    def _allocate(
        self, p: WalkParams, pins: Any, weights: Any, boards: Any, board_weights: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Start nodes int64[Q], whether each is a board bool[Q], and its steps float64[Q]."""
        pin_nodes = np.asarray(pins, np.int64).reshape(-1)
        board_nodes = np.zeros(0, np.int64) if boards is None else np.asarray(boards, np.int64).reshape(-1)
        starts = np.concatenate([pin_nodes, board_nodes])
        from_board = np.arange(starts.size) >= pin_nodes.size
        weight = np.ones(starts.size)
        for given, part, what in ((weights, ~from_board, "query pins"), (board_weights, from_board, "query boards")):
            if given is not None:
                values = np.asarray(given, np.float64).reshape(-1)
                if values.size != int(part.sum()) or not bool(np.all(np.isfinite(values))):
                    raise ConfigError(f"weights of {what} must be {int(part.sum())} finite numbers, got {values.size}")
                weight[part] = values
        degrees = np.zeros(starts.size, np.int64)
        for part, index, n in (
            (~from_board, self.graph.pin_index, self.graph.n_pins),
            (from_board, self.graph.board_index, self.graph.n_boards),
        ):
            nodes = starts[part]
            if nodes.size and (int(nodes.min()) < -1 or int(nodes.max()) >= n):
                raise ConfigError(f"a query index lies outside 0..{n - 1}")
            safe = np.maximum(nodes, 0)
            offsets = index[safe + (nodes >= 0)] >> np.uint64(24)
            degrees[part] = (offsets - (index[safe] >> np.uint64(24))).astype(np.int64) if n else 0
        return starts, from_board, allocate(degrees, weight, self._max_degree, p.steps, p.hub, p.hub_power)

    def _memory(self, walks: int, p: WalkParams, queries: int) -> Any:
        """This thread's working memory, grown when a request needs more than any before it."""
        memory: Memory | None = getattr(self._local, "memory", None)
        buckets = (self.graph.n_pins >> self._shift) + 1
        need = Memory.needed(walks, queries, p.restart, buckets * queries, p.top_k)
        if memory is None or not memory.fits(need):
            memory = Memory(need if memory is None else memory.grown(need), 1 << self._shift)
            self._local.memory = memory
        return memory.arrays


def _arrays(graph: Graph) -> GraphArrays:
    """What the kernel walks: the links where the graph has them."""
    links = graph.links
    if links is None:
        return GraphArrays(*graph.halves, np.uint64(0), np.uint64(0))
    id_shift, degree_bits = np.uint64(links.id_shift), np.uint64(links.degree_bits)
    return GraphArrays(graph.pin_index, links.pin_boards, graph.board_index, links.board_pins, id_shift, degree_bits)


def _bucket_bits(n_pins: int) -> int:
    """log2 of the pins in a counting bucket: counters within the fast caches, some buckets even on small graphs."""
    return min(max(n_pins.bit_length() - 3, 8), 14) if n_pins <= 1 << 22 else 16


def _scaled(probability: float) -> np.uint64:
    """A probability as the uint64 below which a random word must fall."""
    return np.uint64(min(int(probability * 2.0**64), 2**64 - 1))


def _seed_state(seed: int) -> np.uint64:
    """Start of a request's own random stream: splitmix64 of the seed, so that neighbouring seeds share nothing."""
    z = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return np.uint64(z ^ (z >> 31))
