"""What pruning the graph saves, and what it does to recall and NDCG.

A tenth of the edges is held out, and each board's other pins are its query pins. By default on a generated graph whose
topics are known; the topic vectors are the true ones with noise, so quality is that of good vectors. With `--project`
on your own edges and the `topics` of your own pins:

    python -m apps.bench.graph.prune --project pinfunnel.yaml [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from apps.bench.graph.synthetic import SHAPES, draw_edges
from apps.bench.machine import machine
from apps.project import open_project
from cluster.catalog.build import Tables, build_catalog_in_memory
from cluster.data.inputs import open_inputs
from cluster.errors import DataError, PinfunnelError
from cluster.graph.csr import Graph
from cluster.graph.prune import prune
from cluster.settings.project import Project
from cluster.walk.walker import Walker, WalkParams
from training.retrieval.walks import score

K = 20
NOISE = 0.3
HELD_OUT = 0.1
SETTINGS = ((0.0, 1.0), (0.1, 1.0), (0.0, 0.95), (0.0, 0.91), (0.0, 0.8), (0.0, 0.7), (0.1, 0.91))  # drop_boards, delta
PARAMS = WalkParams(steps=100_000, top_k=K, popularity_discount=0.3)


class Task(NamedTuple):
    """A graph to prune, its topic vectors, and the held-out pins of some of its boards."""

    graph: Graph
    topics: np.ndarray  # float32[n_pins, T]
    boards: np.ndarray
    expected: list[np.ndarray]


def run(quick: bool = False, boards: int = 1000) -> dict[str, Any]:
    """For each (drop_boards, delta) on a generated graph: edges kept, bytes, recall@20, NDCG@20, ms a request."""
    return measure(generated(50 if quick else boards))


def generated(boards: int) -> Task:
    """A task on a generated graph."""
    shape = SHAPES["quick"]
    rng = np.random.default_rng(3)
    board_of, pin_of, topic = draw_edges(shape)
    pairs = np.unique(board_of.astype(np.int64) << 32 | pin_of)
    board_of = (pairs >> 32).astype(np.int32)
    pin_of = (pairs & 0xFFFFFFFF).astype(np.int32)
    held = rng.random(pairs.size) < HELD_OUT
    whole = Graph.from_edges(board_of[~held], pin_of[~held], shape.boards, shape.pins)
    truth = Graph.from_edges(board_of[held], pin_of[held], shape.boards, shape.pins)
    topics = np.eye(shape.topics, dtype=np.float32)[topic]
    topics += NOISE * rng.dirichlet(np.full(shape.topics, 0.1), shape.pins).astype(np.float32)
    return _task(whole, truth, topics, boards, rng)


def of_project(project: Project, boards: int) -> Task:
    """A task on a project's own edges and pins. Raises DataError when its pins have no topics."""
    rng = np.random.default_rng(3)
    inputs = open_inputs(project)
    table = inputs["edges"].read()
    held = rng.random(table.num_rows) < HELD_OUT
    with tempfile.TemporaryDirectory() as folder:
        pins = inputs["pins"].read() if "pins" in inputs else None
        catalog = build_catalog_in_memory(Tables(table.filter(~held), pins), project, Path(folder))
        (graph,) = catalog.graph.parts
        topics = np.array(catalog.pins.topics, np.float32)
        if not topics.any():
            raise DataError("pruning reads the topics of the pins: give data.pins with a column `topics`")
        lost = table.filter(held)
        board = graph.board_ids.index_of(lost["board_id"])
        pin = graph.pin_ids.index_of(lost["pin_id"])
        known = (board >= 0) & (pin >= 0)
        truth = Graph.from_edges(board[known], pin[known], graph.n_boards, graph.n_pins)
        a, b, c, d = (np.array(half) for half in graph.halves)  # out of the folder that goes
        return _task(Graph(a, b, c, d, graph.pin_ids, graph.board_ids), truth, topics, boards, rng)


def _task(whole: Graph, truth: Graph, topics: np.ndarray, boards: int, rng: np.random.Generator) -> Task:
    able = np.flatnonzero((truth.board_degree >= 5) & (whole.board_degree >= 5))
    asked = rng.choice(able, min(boards, len(able)), replace=False)
    return Task(whole, topics, asked, [truth.pins_of(b) for b in asked])


def measure(task: Task) -> dict[str, Any]:
    """Every setting on one task."""
    out: dict[str, Any] = {"settings": [], "boards": len(task.boards), "machine": machine()}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        for drop, delta in SETTINGS:
            graph = task.graph if (drop, delta) == (0.0, 1.0) else prune(task.graph, task.topics, drop, delta)
            walker = Walker(graph)
            answers = []
            began = time.process_time()
            for seed, board in enumerate(task.boards):
                mine = task.graph.pins_of(board)
                answers.append(walker.walk_indices(mine, params=PARAMS, seed=seed).pins)
            spent = time.process_time() - began
            out["settings"].append(
                {
                    "drop_boards": drop,
                    "delta": delta,
                    "edges": graph.n_edges,
                    "bytes": graph.nbytes,
                    **score(answers, task.expected, K),
                    "ms": 1e3 * spent / max(len(task.boards), 1),
                }
            )
    finally:
        os.sched_setaffinity(0, before)
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, help="your pinfunnel.yaml; default: a generated graph")
    parser.add_argument("--boards", type=int, default=1000, help="boards to ask for")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    asked = parser.parse_args()
    try:
        mine = None if asked.project is None else open_project(asked.project).project
        found = measure(generated(asked.boards) if mine is None else of_project(mine, asked.boards))
    except PinfunnelError as error:
        parser.exit(1, f"error: {error}\n")
    text = json.dumps(found, indent=1)
    print(text)
    if asked.json:
        asked.json.write_text(text)


if __name__ == "__main__":
    main()
