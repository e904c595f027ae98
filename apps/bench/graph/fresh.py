"""Fresh edges over a mapped graph: what they cost, and how fast walks are over them.

CPU time, so that a busy machine does not decide; memory is what Linux says that the process has written to.

    python -m apps.bench.graph.fresh [--quick]
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apps.bench.graph.synthetic import make
from apps.bench.machine import machine
from cluster.data.cleaning import Tally
from cluster.fresh.graph import with_edges
from cluster.graph.csr import Graph
from cluster.graph.edges import IndexedEdges, index_edges
from cluster.graph.incremental import held, merge
from cluster.settings.project import GraphSettings
from cluster.walk.walker import Walker, WalkParams

NEW_PINS = 0.5
"""Share of the fresh edges whose pin is new; each new pin has some two of them."""
REQUESTS = 200
QUERY_PINS = 10
STEPS = 100_000


def run(quick: bool = False, repeats: int = 3) -> dict[str, Any]:
    """CPU time and memory per fresh edge, and CPU ms of a walk over them."""
    sizes = (0, 1000, 10_000) if quick else (0, 1000, 10_000, 100_000)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="bench-fresh-") as scratch:
        folder = Path(scratch)
        make("quick" if quick else "big").save(folder / "base")
        base = Graph.open(folder / "base")
        for n in sizes:
            new = _drawn(base, n)
            seconds, kilobytes = [], []
            laid = base
            for _ in range(repeats):
                laid = base  # gives back what the last one took
                before = _private_kilobytes()
                begin = time.process_time()
                (laid,) = with_edges(base, new).parts if n else (base,)
                seconds.append(time.process_time() - begin)
                kilobytes.append(_private_kilobytes() - before)
            (merged,) = merge(base, new, folder / "merged").parts if n else (base,)
            ms = _walks({"overlaid": laid, "merged": merged, "merged with links": merged.linked()}, base, repeats)
            rows[n] = {
                "edges": len(new.pins),
                "ms": round(1e3 * statistics.median(seconds), 1),
                "microseconds an edge": round(1e6 * statistics.median(seconds) / n, 1) if n else 0.0,
                "private KB": statistics.median(kilobytes),
                "private KB an edge": round(statistics.median(kilobytes) / max(n, 1), 2),
                "walk ms": ms,
            }
    return {
        "pins": base.n_pins,
        "boards": base.n_boards,
        "edges": base.n_edges,
        "pins of an edge's board": round(float(np.mean(base.board_degree[base.pin_boards[:100_000]])), 1),
        "fresh": rows,
        "machine": machine(),
    }


def _drawn(graph: Graph, n: int) -> IndexedEdges:
    """Edges to boards as large as those of a random edge, half of them of new pins."""
    rng = np.random.default_rng(7)
    boards = _boards_of(graph, rng.integers(0, graph.n_edges, n))
    pins = np.where(
        rng.random(n) < NEW_PINS, graph.n_pins + rng.integers(0, max(n // 4, 1), n), rng.integers(0, graph.n_pins, n)
    )
    table = pa.table({"board_id": graph.board_ids.ids_of(boards), "pin_id": pins})
    new = index_edges(table, GraphSettings(), Tally())
    keep = ~held(graph, new)
    table = pa.table(
        {
            "board_id": new.board_ids.take(pa.array(new.boards[keep])),
            "pin_id": new.pin_ids.take(pa.array(new.pins[keep])),
        }
    )
    return index_edges(table, GraphSettings(), Tally())


def _boards_of(graph: Graph, edges: np.ndarray) -> np.ndarray:
    return np.searchsorted(graph.board_offsets, edges, "right") - 1


def _walks(graphs: dict[str, Graph], base: Graph, repeats: int) -> dict[str, float]:
    """Median ms of a request on each graph, one after the other so that all see the same machine."""
    rng = np.random.default_rng(3)
    queries = rng.choice(np.flatnonzero(base.pin_degree), (REQUESTS, QUERY_PINS))
    walkers = {name: Walker(graph) for name, graph in graphs.items()}
    ids = [base.pin_ids.ids_of(row) for row in queries]
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(repeats):
        for seed, named in enumerate(ids):
            for name, walker in walkers.items():
                pins = walker.graph.pin_ids.index_of(named)
                begin = time.process_time()
                walker.walk_indices(pins, params=WalkParams(steps=STEPS), seed=seed)
                times[name].append(time.process_time() - begin)
    return {name: round(1e3 * statistics.median(values), 3) for name, values in times.items()}


def _private_kilobytes() -> int:
    """What this process has written to in memory, by what Linux says."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv), indent=2))
