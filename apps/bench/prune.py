"""What pruning costs and gives: bytes of the graph, recall and NDCG of walks on held-out edges, ms a request.

A generated graph whose topics are known; a tenth of the edges is held out, and each board's other pins are its query
pins. The topic vectors are the true topics with noise, so quality is that of good vectors. Knows nothing of models.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from apps.bench.graphs import SHAPES, edges
from apps.bench.machine import machine
from cluster.graph.csr import Graph
from cluster.graph.prune import prune
from cluster.graph.walk import Walker, WalkParams
from training.retrieval import score

K, NOISE = 20, 0.3
SETTINGS = ((0.0, 1.0), (0.1, 1.0), (0.0, 0.95), (0.0, 0.91), (0.0, 0.8), (0.0, 0.7), (0.1, 0.91))  # drop_boards, delta
PARAMS = WalkParams(steps=100_000, top_k=K, popularity_discount=0.3)


def run(quick: bool = False, boards: int = 1000) -> dict[str, Any]:
    """For each (drop_boards, delta): edges kept, MB, recall@20, NDCG@20, ms a request."""
    shape = SHAPES["quick"]
    boards = 50 if quick else boards
    rng = np.random.default_rng(3)
    board_of, pin_of, topic = edges(shape)
    pairs = np.unique(board_of.astype(np.int64) << 32 | pin_of)
    board_of, pin_of = (pairs >> 32).astype(np.int32), (pairs & 0xFFFFFFFF).astype(np.int32)
    held = rng.random(pairs.size) < 0.1
    whole = Graph.from_edges(board_of[~held], pin_of[~held], shape.boards, shape.pins)
    truth = Graph.from_edges(board_of[held], pin_of[held], shape.boards, shape.pins)
    topics = np.eye(shape.topics, dtype=np.float32)[topic]
    topics += NOISE * rng.dirichlet(np.full(shape.topics, 0.1), shape.pins).astype(np.float32)
    able = np.flatnonzero((truth.board_degree >= 5) & (whole.board_degree >= 5))
    asked = rng.choice(able, boards, replace=False)
    expected = [_row(truth, b) for b in asked]
    out: dict[str, Any] = {"settings": [], "machine": machine()}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        for drop, delta in SETTINGS:
            graph = whole if (drop, delta) == (0.0, 1.0) else prune(whole, topics, drop, delta)
            walker, answers = Walker(graph), []
            began = time.process_time()
            for seed, board in enumerate(asked):
                mine = _row(whole, board)
                answers.append(walker.walk_indices(mine, params=PARAMS, seed=seed).pins)
            spent = time.process_time() - began
            recall, ndcg = score(answers, expected, K)
            out["settings"].append(
                {"drop_boards": drop, "delta": delta, "edges": graph.n_edges, "bytes": graph.nbytes,
                 "recall@20": recall, "ndcg@20": ndcg, "ms": 1e3 * spent / boards}
            )  # fmt: skip
    finally:
        os.sched_setaffinity(0, before)
    return out


def _row(graph: Graph, board: int) -> np.ndarray:
    return np.asarray(graph.board_pins[int(graph.board_offsets[board]) : int(graph.board_offsets[board + 1])])
