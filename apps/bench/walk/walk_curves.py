"""What a walk costs by steps, query pins, edges and requests joined.

CPU time of one pinned core, medians over requests. `python -m apps.bench.walk.walk_curves --svg OUT` draws the curves.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from apps.bench.graph.synthetic import SHAPES, Shape, make_shape, query_pins
from apps.bench.machine import machine
from cluster.graph.csr import Graph
from cluster.walk.walker import Walker, WalkParams

STEPS = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
QUERIES = (1, 2, 5, 10, 20, 50, 100)
SCALES = (1 / 64, 1 / 16, 1 / 4, 1.0)


def run(quick: bool = False, repeats: int = 25) -> dict[str, Any]:
    """{"steps", "queries", "edges"}: milliseconds by value; "batch": ms a request alone and joined."""
    shape = SHAPES["quick" if quick else "big"]
    repeats = 3 if quick else repeats
    allowed = os.sched_getaffinity(0)
    out: dict[str, Any] = {"steps": {}, "queries": {}, "edges": {}, "machine": machine()}
    os.sched_setaffinity(0, {max(allowed)})
    try:
        for scale in SCALES:
            parts = (max(int(n * scale), 1) for n in shape)
            graph = make_shape(Shape(*parts))
            out["edges"][graph.n_edges] = cost(graph, 200_000, 10, repeats)
        for steps in STEPS:
            out["steps"][steps] = {f"q{q}": cost(graph, steps, q, repeats) for q in (1, 10, 50)}
        for queries in QUERIES:
            out["queries"][queries] = cost(graph, 200_000, queries, repeats)
        out["batch"] = batch(graph, repeats)
    finally:
        os.sched_setaffinity(0, allowed)
    return out


def cost(graph: Graph, steps: int, queries: int, repeats: int) -> float:
    """Median milliseconds of a request for the 1000 best."""
    walker = Walker(graph)
    params = WalkParams(steps=steps, top_k=1000)
    spent = []
    for seed in range(repeats + 1):
        pins = query_pins(graph, queries, seed)
        began = time.process_time()
        walker.walk_indices(pins, params=params, seed=seed)
        spent.append(1e3 * (time.process_time() - began))
    return median(spent[1:])


def batch(graph: Graph, repeats: int) -> dict[str, dict[str, float]]:
    """Ms a request of one query pin: eight requests one after the other, and walked together.

    Together means one request with the query pins of all eight: the walking of a batch without the counting and
    selecting for each, so a lower bound of what batching could cost.
    """
    walker = Walker(graph)
    out = {}
    for steps in (5_000, 50_000, 200_000):
        times: dict[str, list[float]] = {"alone": [], "joined_at_least": []}
        params = WalkParams(steps=steps, top_k=1000)
        every = WalkParams(steps=8 * steps, top_k=1000, hub="uniform")
        for seed in range(repeats + 1):
            pins = query_pins(graph, 8, seed)
            began = time.process_time()
            for pin in pins:
                walker.walk_indices([pin], params=params, seed=seed)
            middle = time.process_time()
            walker.walk_indices(pins, params=every, seed=seed)
            times["alone"].append(1e3 * (middle - began) / 8)
            times["joined_at_least"].append(1e3 * (time.process_time() - middle) / 8)
        out[str(steps)] = {name: median(values[1:]) for name, values in times.items()}
    return out


def plot(figures: dict[str, Any], path: Path) -> None:
    """The three curves side by side."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    _, axes = pyplot.subplots(1, 3, figsize=(11, 3.2), sharey=True, layout="constrained")
    for q in ("q1", "q10", "q50"):
        rows = {int(steps): row[q] for steps, row in figures["steps"].items()}
        axes[0].plot(list(rows), list(rows.values()), marker="o", label=f"{q[1:]} query pins")
    axes[0].legend()
    for axis, name, label in (
        (axes[1], "queries", "query pins (200k steps)"),
        (axes[2], "edges", "edges (10 query pins)"),
    ):
        rows = {int(x): y for x, y in figures[name].items()}
        axis.plot(list(rows), list(rows.values()), marker="o")
        axis.set_xlabel(label)
    axes[0].set_xlabel("steps")
    axes[0].set_ylabel("ms CPU a request")
    for axis in axes:
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    pyplot.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    figures = json.loads(json.dumps(run(options.quick)))
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures))
    if options.svg:
        plot(figures, options.svg)
