"""Walks over a graph in shards (scatter-gather): fidelity by shards and partition.

On two graphs: a generated power-law graph, a tenth of its edges held out, and gowalla (the public split), where
PINFUNNEL_DATA names a folder that has it. An arm is `<partition>.<S>`: boards dealt by chance (`random`), or by shared
pins (`near`), or either with the largest 1 % of the boards in all shards (`…_hubs`). Of each arm:

`overlap`: mean share of the best 1000 pins of a whole walk that the sharded walk has, too; `ceiling` is that of a whole
walk with another seed. `expected`: the same of the visits that infinitely many steps would make, without noise.
`lost`: `overlap` when one shard does not answer. `answer_<n>`: `overlap` when each shard tells of its best n pins only.
`recall.<restart>`: Recall@20 of held-out pins less that of the whole walk, [mean, standard error].
`stays`: of a pin's edges beside the one that a walk came by, the share in the same shard, averaged over edges.
`largest`: edges of the largest shard over those of the mean one; `bytes`: what it takes, of the whole graph's.
`ms.<scatter, gather, gather_<n>>`: CPU of a request, of all shards together; `ms.whole` beside the arms.

    python -m apps.bench.walk.graph_shards [--quick]
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import pyarrow.parquet as pq

from apps.bench.graph.synthetic import Shape, draw_edges, query_pins
from apps.bench.machine import machine, versions
from apps.bench.walk.near_parts import near_parts
from cluster.graph.csr import Graph
from cluster.graph.splitting import part_of_boards, with_boards
from cluster.walk.exact import visit_distribution
from cluster.walk.prepare import degrees_at
from cluster.walk.sharded import ShardedWalker, split_steps
from cluster.walk.walker import Walker, WalkParams, WalkResult
from cluster.walk.weights import allocate
from training.retrieval.walks import DEFAULTS

T = TypeVar("T")
TOP_K = 1000
QUERIES = 10
CUT = 20
HUBS = 0.01
PARAMS = WalkParams(steps=200_000, top_k=TOP_K)
RESTARTS = (1.0, 0.5)
ANSWERS = (1000, 2000)


@dataclass(frozen=True)
class StudySizes:
    """What is measured, and how often."""

    shape: Shape
    shards: tuple[int, ...]
    requests: int
    exact: int
    boards: int


FULL = StudySizes(Shape(pins=50_000, boards=12_000, edges=1_000_000, topics=100), (2, 4, 8, 16), 20, 6, 300)
QUICK = StudySizes(Shape(pins=2_000, boards=600, edges=20_000, topics=10), (4,), 3, 2, 20)


@dataclass(frozen=True)
class SplitGraph:
    """A graph, and pins that some of its boards gained later."""

    graph: Graph
    later: dict[int, np.ndarray]


def run(quick: bool = False) -> dict[str, Any]:
    """Fidelity of each arm on each graph."""
    sizes = QUICK if quick else FULL
    graphs = {name: _measured(held, sizes) for name, held in _graphs(sizes)}
    return {"graphs": graphs, "machine": machine(), "versions": versions("numba", "numpy")}


def _graphs(sizes: StudySizes) -> Iterator[tuple[str, SplitGraph]]:
    boards, pins, _ = draw_edges(sizes.shape)
    rng = np.random.default_rng(5)
    held = rng.random(boards.size) < 0.1
    graph = Graph.from_edges(boards[~held], pins[~held], sizes.shape.boards, sizes.shape.pins)
    yield "power_law", SplitGraph(graph, _later(graph, boards[held], pins[held]))
    folder = Path(os.environ.get("PINFUNNEL_DATA", "")) / "gowalla"
    if not folder.exists():
        print(f"gowalla: PINFUNNEL_DATA names no folder that has it ({folder}), left out")
        return
    train, test = (pq.read_table(folder / f"{part}.parquet") for part in ("train", "test"))
    boards, pins, later_boards, later_pins = (
        table[name].to_numpy().astype(np.int64) for table in (train, test) for name in ("board_id", "pin_id")
    )
    n_boards = int(max(boards.max(), later_boards.max())) + 1
    graph = Graph.from_edges(boards, pins, n_boards, int(max(pins.max(), later_pins.max())) + 1)
    yield "gowalla", SplitGraph(graph, _later(graph, later_boards, later_pins))


def _later(graph: Graph, boards: np.ndarray, pins: np.ndarray) -> dict[int, np.ndarray]:
    """Pins of each known board that it did not have before."""
    truth = Graph.from_edges(boards, pins, graph.n_boards, graph.n_pins)
    new = {b: np.setdiff1d(truth.pins_of(b), graph.pins_of(b)) for b in np.flatnonzero(graph.board_degree).tolist()}
    return {board: gained for board, gained in new.items() if gained.size}


def _measured(held: SplitGraph, sizes: StudySizes) -> dict[str, Any]:
    graph = held.graph
    whole = Walker(graph)
    asked = [query_pins(graph, QUERIES, seed) for seed in range(sizes.requests)]
    again, _ = _timed(lambda seed: whole.walk_indices(asked[seed], params=PARAMS, seed=1_000 + seed), asked)
    walks, ms = _timed(lambda seed: whole.walk_indices(asked[seed], params=PARAMS, seed=seed), asked)
    best = [_expected(pins, [graph], graph) for pins in asked[: sizes.exact]]
    boards = np.random.default_rng(7).permutation(sorted(held.later))[: sizes.boards].tolist()
    recall = {restart: _recall(whole, held, boards, restart) for restart in RESTARTS}
    hubs = np.zeros(graph.n_boards, bool)
    hubs[np.argsort(-graph.board_degree, kind="stable")[: round(HUBS * graph.n_boards)]] = True

    def arm(part: np.ndarray, shards: int, everywhere: np.ndarray) -> dict[str, Any]:
        parts = [with_boards(graph, (part == at) | everywhere) for at in range(shards)]
        walker = ShardedWalker(graph, parts)
        expected = [_expected(pins, parts, graph) for pins in asked[: sizes.exact]]
        return {
            "expected": round(float(np.mean([_share(a, b) for a, b in zip(best, expected, strict=True)])), 3),
            **_scattered(graph, parts, asked, walks),
            "recall": {
                restart: _mean(_recall(walker, held, boards, restart) - recall[restart]) for restart in RESTARTS
            },
            "stays": _stays(parts, graph),
            "largest": round(max(one.n_edges for one in parts) * shards / graph.n_edges, 3),
            "bytes": round(max(one.nbytes for one in parts) / graph.nbytes, 3),
        }

    arms = {}
    for shards in sizes.shards:
        for kind, part in (("random", part_of_boards(graph, shards)), ("near", near_parts(graph, shards))):
            arms[f"{kind}.{shards}"] = arm(part, shards, np.zeros_like(hubs))
            arms[f"{kind}_hubs.{shards}"] = arm(part, shards, hubs)
    return {
        "edges": graph.n_edges,
        "requests": len(asked),
        "boards": len(boards),
        "ceiling": _overlap(walks, again),
        "recall": {restart: round(float(found.mean()), 4) for restart, found in recall.items()},
        "ms": ms,
        "arms": arms,
    }


def _scattered(graph: Graph, parts: list[Graph], asked: list[np.ndarray], walks: list[WalkResult]) -> dict[str, Any]:
    """Overlap with `walks`, and CPU time: all that was visited told, one shard lost, or only the best told."""
    out: dict[str, Any] = {"ms": {}}
    for answer in (None, *ANSWERS):
        walker = ShardedWalker(graph, parts, answer)
        walker.walk_indices(asked[0], params=PARAMS)  # the first sets memory up
        found, scatter = _timed(partial(_scatter, walker, asked), asked)
        gathered, gather = _timed(partial(_gather, walker, found), asked)
        if answer is None:
            out["overlap"] = _overlap(walks, gathered)
            out["lost"] = _overlap(walks, [walker.gather(one[1:], PARAMS, QUERIES) for one in found])
            out["ms"] |= {"scatter": scatter, "gather": gather}
        else:
            out[f"answer_{answer}"] = _overlap(walks, gathered)
            out["ms"][f"gather_{answer}"] = gather
    return out


def _scatter(walker: ShardedWalker, asked: list[np.ndarray], seed: int) -> list[WalkResult]:
    return walker.scatter(PARAMS, asked[seed], asked[seed][:0], np.ones(QUERIES), 2_000 + seed)


def _gather(walker: ShardedWalker, found: list[list[WalkResult]], at: int) -> WalkResult:
    return walker.gather(found[at], PARAMS, QUERIES)


def _timed(work: Callable[[int], T], asked: list[np.ndarray]) -> tuple[list[T], float]:
    """What `work` gives for each request by its number, and the median CPU milliseconds."""
    found = []
    spent = []
    for at in range(len(asked)):
        began = time.process_time()
        found.append(work(at))
        spent.append(1e3 * (time.process_time() - began))
    return found, round(median(spent), 2)


def _expected(pins: np.ndarray, parts: list[Graph], graph: Graph) -> np.ndarray:
    """The best TOP_K pins by the visits that walks over `parts` make of a request on average."""
    degrees = np.array([degrees_at(part.pin_index, pins) for part in parts])
    p = PARAMS
    whole = degrees_at(graph.pin_index, pins)
    steps = allocate(whole, np.ones(pins.size), graph.max_pin_degree, p.steps, p.hub, p.hub_power)
    boosted = np.zeros(graph.n_pins)
    shares = split_steps(steps, degrees)
    for q, pin in enumerate(pins):
        visits = np.zeros(graph.n_pins)
        for part, share in zip(parts, shares[:, q], strict=True):
            if share:
                start = np.zeros(graph.n_pins)
                start[pin] = 1.0
                visits += share * visit_distribution(part, start, p.restart, 1e-3)
        boosted += visits**p.boost
    boosted[pins] = 0.0
    return np.argsort(-boosted, kind="stable")[:TOP_K]


def _share(a: np.ndarray, b: np.ndarray) -> float:
    return np.intersect1d(a, b).size / a.size


def _overlap(walks: list[WalkResult], others: list[WalkResult]) -> float:
    return round(float(np.mean([_share(a.pins, b.pins) for a, b in zip(walks, others, strict=True)])), 3)


def _recall(walker: Walker | ShardedWalker, held: SplitGraph, boards: list[int], restart: float) -> np.ndarray:
    """float64[boards]: share of each board's later pins among the first CUT that walks from its pins find."""
    params = replace(DEFAULTS, steps=50_000, restart=restart, top_k=CUT)
    shares = np.empty(len(boards))
    for at, board in enumerate(boards):
        found = walker.walk_indices(held.graph.pins_of(board), params=params, seed=board)
        shares[at] = np.isin(found.pins, held.later[board]).sum() / held.later[board].size
    return shares


def _mean(values: np.ndarray) -> list[float]:
    return [round(float(values.mean()), 4), round(float(values.std() / values.size**0.5), 4)]


def _stays(parts: list[Graph], graph: Graph) -> float:
    """A walk that came to a pin by one of its edges: the share of the pin's others that its shard holds."""
    others = np.maximum(graph.pin_degree - 1, 1)
    edges = sum(int(part.n_edges) for part in parts)
    kept = sum(float((part.pin_degree * ((part.pin_degree - 1) / others)).sum()) for part in parts)
    alone = sum(int(part.pin_degree[graph.pin_degree == 1].sum()) for part in parts)
    return round(kept / (edges - alone), 3)


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv), indent=2))
