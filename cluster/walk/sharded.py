"""One walk over several graphs, each with a part of the boards: scatter, gather. Knows nothing of Ray or of sources.

Each query's steps are split over the shards by its edges there, each shard walks its own graph, visits are summed. The
first step is then that of the whole graph: an edge is as likely to be taken wherever it lies. After it a walk stays in
the shard it is in, so longer walks see fewer boards of a pin than it has. Boards that lie in several shards break the
first rule: they are visited once for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numba as nb
import numpy as np

from cluster.graph.any_graph import AnyGraph
from cluster.graph.csr import Graph
from cluster.walk.prepare import degrees_at, discounts, powers, start_weights
from cluster.walk.select import select
from cluster.walk.walker import Walker, WalkParams, WalkResult
from cluster.walk.weights import allocate

ANSWER = 2000
"""Pins that each shard tells of, if no more are asked for: enough (docs/experiments/walk.md)."""


class FoundVisits(Protocol):
    """What one shard found."""

    @property
    def pins(self) -> np.ndarray:
        """int32[n]."""
        ...

    @property
    def by_query(self) -> np.ndarray:
        """uint32[n, Q], visits of each by query."""
        ...

    @property
    def steps(self) -> int:
        """How many were walked."""
        ...


@dataclass(frozen=True)
class ShardVisits:
    """One shard's, from wherever it was walked."""

    pins: np.ndarray
    by_query: np.ndarray
    steps: int = 0


class ShardWalker:
    """Walks one part of a graph. Of the whole it reads the index of pins (and of boards, where they are asked for)."""

    def __init__(self, whole: AnyGraph, part: Graph, at: int, answer: int | None = None) -> None:
        """`at`: which part it is. `answer`: pins that it tells of (None: all that it visited), or `top_k` if more."""
        self.graph = part
        self._walker = Walker(part)
        self._whole = whole
        self._at = at
        self._answer = answer

    def walk(
        self, p: WalkParams, pins: np.ndarray, boards: np.ndarray, weight: np.ndarray, seed: int, **rules: Any
    ) -> WalkResult | None:
        """Its share of a request, as `ShardedWalker.scatter` says; None where that is no step."""
        steps = whole_steps(self._whole, p, pins, boards, weight)
        share = split_steps(steps, np.stack([_degrees(self.graph, pins, boards)]), _degrees(self._whole, pins, boards))
        return self.walk_share(p, pins, boards, share[0], seed, **rules)

    def walk_share(
        self, p: WalkParams, pins: np.ndarray, boards: np.ndarray, share: np.ndarray, seed: int, **rules: Any
    ) -> WalkResult | None:
        """`share` float64[pins + boards] are the steps of each query here."""
        budget = round(float(share.sum()))
        if not budget:
            return None
        told = replace(
            p,
            steps=budget,
            hub="uniform",  # weights are the steps of each query
            top_k=min(max(self._answer, p.top_k) if self._answer else budget, self._whole.n_pins),
            min_visits=1,
            popularity_discount=0.0,
            n_p=0,
            n_v=0,
        )
        own = (seed + (self._at << 48)) % 2**63
        of_pins = share[: pins.size]
        of_boards = share[pins.size :]
        return self._walker.walk_indices(
            pins, of_pins, params=told, seed=own, boards=boards, board_weights=of_boards, **rules
        )


class ShardedWalker:
    """Answers as `Walker` does, from shards. Thread-safe.

    Of the whole graph it reads the index of pins (and of boards, where they are asked for) only.
    """

    def __init__(self, graph: AnyGraph, shards: Sequence[Graph], answer: int | None = None) -> None:
        """shards: graphs of `graph`'s pins and boards, with a part of its edges each.

        answer: how many pins a shard tells of (None: all that it visited), or `top_k` if that is more.
        """
        self.shards = [ShardWalker(graph, shard, at, answer) for at, shard in enumerate(shards)]
        self.graph = graph

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
        """As `Walker.walk_indices`. `params.n_p` and `n_v` are not heeded: all steps are walked."""
        p = params or WalkParams()
        query_pins = np.asarray(pins, np.int64).reshape(-1)
        query_boards = np.zeros(0, np.int64) if boards is None else np.asarray(boards, np.int64).reshape(-1)
        weight = start_weights(query_pins.size, query_boards.size, weights, board_weights)
        found = self.scatter(p, query_pins, query_boards, weight, seed, exclude=exclude, allowed=allowed, bias=bias)
        return self.gather(found, p, weight.size)

    def scatter(
        self, p: WalkParams, pins: np.ndarray, boards: np.ndarray, weight: np.ndarray, seed: int, **rules: Any
    ) -> list[WalkResult]:
        """What each shard that has steps to walk found; `weight` float64[pins + boards], `rules` as of `Walker`."""
        degrees = np.array([_degrees(shard.graph, pins, boards) for shard in self.shards])
        shares = split_steps(whole_steps(self.graph, p, pins, boards, weight), degrees)
        walked = (
            shard.walk_share(p, pins, boards, share, seed, **rules)
            for shard, share in zip(self.shards, shares, strict=True)
        )
        return [found for found in walked if found is not None]

    def gather(self, found: Sequence[FoundVisits], p: WalkParams, queries: int) -> WalkResult:
        """`gather` over its graph."""
        return gather(self.graph, found, p, queries)


def gather(whole: AnyGraph, found: Sequence[FoundVisits], p: WalkParams, queries: int) -> WalkResult:
    """The best pins by the visits of all shards together; those of a shard that is not in `found` are missing."""
    pins, by_query, boosted = summed(found, queries, p.boost)
    visits = by_query.sum(axis=1).astype(np.int32)
    table = discounts(p.popularity_discount)
    if table.size:
        boosted *= table[np.minimum(degrees_at(whole.pin_index, pins), table.size - 1)]
    enough = np.flatnonzero(visits >= p.min_visits)
    best = enough[_best(boosted[enough], pins[enough], whole.pin_index, p.top_k)]
    return WalkResult(
        pins=pins[best],
        scores=boosted[best],
        visits=visits[best],
        hits=(by_query[best] > 0).sum(axis=1).astype(np.int16),
        by_query=by_query[best],
        steps=sum(one.steps for one in found),
        id_map=whole.pin_ids,
    )


def walker_of(graph: AnyGraph, answer: int | None = ANSWER) -> Walker | ShardedWalker:
    """Walks a graph as it was built: as one, or in its parts, which tell of `answer` pins each."""
    return Walker(graph) if isinstance(graph, Graph) else ShardedWalker(graph, graph.parts, answer)


def whole_steps(graph: AnyGraph, p: WalkParams, pins: np.ndarray, boards: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """float64[pins + boards]: the steps of each query, by its edges in the whole graph."""
    return allocate(_degrees(graph, pins, boards), weight, graph.max_pin_degree, p.steps, p.hub, p.hub_power)


def split_steps(steps: np.ndarray, degrees: np.ndarray, whole: np.ndarray | None = None) -> np.ndarray:
    """float64[S, Q]: steps float64[Q] over shards in proportion to `degrees` int64[S, Q], the query's edges there.

    `whole` int64[Q]: its edges in all shards, where `degrees` are not of all.
    """
    total = np.maximum(degrees.sum(axis=0) if whole is None else whole, 1)
    return np.asarray(steps * (degrees / total))


def summed(found: Sequence[FoundVisits], queries: int, boost: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pins int32[n] ascending, visits uint32[n, Q], boosted visit counts float32[n]) of all shards together."""
    pins = np.concatenate([np.zeros(0, np.int32), *(one.pins for one in found)])
    by_query = np.concatenate([np.zeros((0, queries), np.uint32), *(one.by_query for one in found)])
    order = np.argsort(pins, kind="stable")
    distinct, starts = np.unique(pins[order], return_index=True)
    visits = np.zeros((distinct.size, queries), np.uint32)
    boosted = np.zeros(distinct.size, np.float32)
    _add_up(by_query, order, np.append(starts[1:], order.size), powers(boost), boost, visits, boosted)
    return distinct, visits, boosted


@nb.njit(cache=True, nogil=True)
def _add_up(by_query, order, ends, table, boost, visits, boosted):  # type: ignore[no-untyped-def]
    """Row i of `visits` becomes the sum of the rows order[ends[i - 1]:ends[i]]; `boosted` (sum_q V_q^b)^(1/b)."""
    at = 0
    for i in range(ends.size):
        while at < ends[i]:
            visits[i] += by_query[order[at]]
            at += 1
        for count in visits[i]:
            if count:
                boosted[i] += table[count] if count < table.size else count**boost
        boosted[i] = boosted[i] ** (1.0 / boost)


def _degrees(graph: AnyGraph, pins: np.ndarray, boards: np.ndarray) -> np.ndarray:
    return np.concatenate([degrees_at(graph.pin_index, pins), degrees_at(graph.board_index, boards)])


def _best(scores: np.ndarray, pins: np.ndarray, pin_index: np.ndarray, top_k: int) -> np.ndarray:
    """int64[min(n, top_k)]: where the best are, by the rule that `Walker` breaks ties by."""
    keys = np.empty(top_k, np.uint64)
    scratch = np.empty(scores.size, np.uint32)
    kept = select(scores, pins, pin_index, scores.size, top_k, np.empty(2048, np.int64), keys, scratch)
    return (keys[:kept] & np.uint64(0xFFFFFFFF)).astype(np.int64)
