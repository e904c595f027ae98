"""Pixie random walks over one graph: query pins in, candidates out. Knows nothing of Ray, features or serving.

Source: Eksombatchai et al., "Pixie: A System for Recommending 3+ Billion Items to 200+ Million Users in Real-Time",
WWW 2018. The loops are in `cluster.walk.request` and below; here are parameters, ids and threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.graph.ids import IdMap
from cluster.walk.arrays import RequestMemory, Scoring, Starts, StepRules, WalkOutput
from cluster.walk.memory import Memory
from cluster.walk.prepare import (
    allowed_pins,
    bucket_bits,
    degrees_at,
    discounts,
    graph_arrays,
    powers,
    scaled,
    seed_state,
    start_weights,
    walks_of,
)
from cluster.walk.request import run_request
from cluster.walk.weights import allocate

_RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, 2**30),
    "top_k": (1, 2**23),
    "min_visits": (1, 2**30),
    "n_p": (0, 2**31),
    "n_v": (0, 2**31),
    "restart": (0.01, 1.0),
    "bias_share": (0.0, 1.0),
    "popularity_discount": (0.0, 4.0),
    "hub_power": (0.0, 1.0),
    "boost": (0.1, 1.0),
}


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
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"walk parameter {name} must be in {low}..{high}, got {value!r}")
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


class Walker:
    """Walks one graph. Thread-safe: each thread keeps its own working memory, reused from request to request."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._arrays = graph_arrays(graph)
        self._max_degree = graph.max_pin_degree
        self._shift = bucket_bits(graph.n_pins)
        self._local = threading.local()

    @classmethod
    def open(cls, directory: str | Path) -> Walker:
        """Maps a saved graph. Raises BundleError."""
        return cls(Graph.open(directory))

    def walk(
        self,
        query_pins: Any,
        weights: Any = None,
        *,
        params: WalkParams | None = None,
        steps: int | None = None,
        seed: int = 0,
        exclude: Any = None,
        allowed: np.ndarray | None = None,
        bias_locale: int | str | None = None,
        query_boards: Any = None,
        board_weights: Any = None,
    ) -> WalkResult:
        """Candidates for query pins (and boards) given by id.

        weights, board_weights: float[Q], default 1. exclude: ids that may not be answered. allowed: bool[n_pins], the
        only pins that may; walks pass through all, and the `top_k` are chosen among these. bias_locale: a locale of the
        graph, by code or name, used when `params.bias_share` > 0. Unknown ids and isolated pins get no steps; their
        columns of `by_query` stay 0.
        """
        chosen = params or WalkParams()
        if steps is not None:
            chosen = replace(chosen, steps=steps)
        return self.walk_indices(
            self.graph.pin_ids.index_of(query_pins),
            weights,
            params=chosen,
            seed=seed,
            exclude=None if exclude is None else self.graph.pin_ids.index_of(exclude),
            allowed=allowed,
            bias=(0, 0) if bias_locale is None else self.graph.locale_range(bias_locale),
            boards=None if query_boards is None else self.graph.board_ids.index_of(query_boards),
            board_weights=board_weights,
        )

    def walk_indices(
        self,
        pins: Any,
        weights: Any = None,
        *,
        params: WalkParams | None = None,
        seed: int = 0,
        exclude: Any = None,
        allowed: np.ndarray | None = None,
        bias: tuple[int, int] = (0, 0),
        boards: Any = None,
        board_weights: Any = None,
    ) -> WalkResult:
        """`walk` on indices: pins int32[Q] (-1: unknown), exclude int32[n], bias: pin range [start, end)."""
        p = params or WalkParams()
        only = allowed_pins(allowed, self.graph.n_pins)
        query_pins = np.asarray(pins, np.int64).reshape(-1)
        query_boards = np.zeros(0, np.int64) if boards is None else np.asarray(boards, np.int64).reshape(-1)
        starts = self._starts(p, query_pins, query_boards, weights, board_weights)
        queries = starts.nodes.size
        answer = WalkOutput(
            pins=np.empty(p.top_k, np.int32),
            scores=np.empty(p.top_k, np.float32),
            visits=np.empty(p.top_k, np.int32),
            hits=np.empty(p.top_k, np.int16),
            by_query=np.zeros((p.top_k + 1, queries), np.uint32),
        )
        kept = steps = 0
        walks = int(starts.walks.sum())
        if walks:
            rules = StepRules(
                live_below=scaled(1.0 - p.restart),
                bias_below=scaled(p.bias_share if bias[1] > bias[0] else 0.0),
                bias_start=np.uint64(bias[0]),
                bias_end=np.uint64(bias[1]),
                shift=np.uint64(self._shift),
                queries=np.uint64(queries),
            )
            scoring = Scoring(
                excluded=_barred(p, query_pins, exclude),
                allowed=only,
                min_visits=p.min_visits,
                exponent=np.float32(p.boost),
                powers=powers(p.boost),
                discount=discounts(p.popularity_discount),
                top_k=p.top_k,
            )
            memory = self._memory(walks, p, queries)
            stopping = (p.n_p, p.n_v)
            kept, steps = run_request(self._arrays, memory, starts, rules, stopping, scoring, seed_state(seed), answer)
        return WalkResult(
            pins=answer.pins[:kept],
            scores=answer.scores[:kept],
            visits=answer.visits[:kept],
            hits=answer.hits[:kept],
            by_query=answer.by_query[1 : kept + 1],
            steps=steps,
            id_map=self.graph.pin_ids,
        )

    def _starts(self, p: WalkParams, pins: np.ndarray, boards: np.ndarray, weights: Any, board_weights: Any) -> Starts:
        """Where the walks start, and how many there: the steps that each query gets."""
        weight = start_weights(pins.size, boards.size, weights, board_weights)
        degrees = np.concatenate([degrees_at(self.graph.pin_index, pins), degrees_at(self.graph.board_index, boards)])
        steps = allocate(degrees, weight, self._max_degree, p.steps, p.hub, p.hub_power)
        nodes = np.concatenate([pins, boards])
        return Starts(
            nodes=np.maximum(nodes, 0),
            from_board=np.arange(nodes.size) >= pins.size,
            walks=walks_of(steps, p.restart),
        )

    def _memory(self, walks: int, p: WalkParams, queries: int) -> RequestMemory:
        """This thread's working memory, grown when a request needs more than any before it."""
        memory: Memory | None = getattr(self._local, "memory", None)
        buckets = (self.graph.n_pins >> self._shift) + 1
        need = Memory.needed(walks, queries, p.restart, buckets * queries, p.top_k)
        if memory is None or not memory.fits(need):
            memory = Memory(need if memory is None else memory.grown(need), 1 << self._shift)
            self._local.memory = memory
        return memory.arrays


def _barred(p: WalkParams, query_pins: np.ndarray, exclude: Any) -> np.ndarray:
    """int32, ascending: the pins that may not be answered."""
    barred = query_pins if p.drop_query else query_pins[:0]
    if exclude is not None:
        barred = np.concatenate([barred, np.asarray(exclude, np.int64)])
    return np.sort(barred[barred >= 0]).astype(np.int32)
