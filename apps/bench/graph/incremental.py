"""A day's edges added to a graph, beside building the graph anew.

CPU seconds of one core, in memory. The rebuild is the cheapest there is: `Graph.from_edges` from arrays that are
ready, with nothing read or ranked.

    python -m apps.bench.graph.incremental [--quick]
"""

import json
import os
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
from cluster.graph.csr import Graph
from cluster.graph.ids import IdMap
from cluster.graph.incremental import add_edges

DAY_SHARE = 0.01  # a day's edges, as a share of all
NEW_SHARE = 0.05  # share of the day's edges whose pin is new, and as many whose board is


def run(quick: bool = False, repeats: int = 3) -> dict[str, Any]:
    """Median CPU seconds to add a day and to rebuild, their ratio, and the sizes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        graph = make("quick" if quick else "big")
        rng = np.random.default_rng(7)
        n = int(graph.n_edges * DAY_SHARE)
        day = pa.table({"board_id": _drawn(rng, graph.n_boards, n), "pin_id": _drawn(rng, graph.n_pins, n)})
        timed: dict[str, list[float]] = {"add": [], "save": [], "rebuild": []}
        with tempfile.TemporaryDirectory(prefix="bench-incremental-") as scratch:
            folder = Path(scratch)
            small = Graph.from_edges([0], [0], 1, 1)
            add_edges(small, day.slice(0, 10), folder / "warm", Tally())  # compiles
            for _ in range(repeats):
                start = time.process_time()
                (merged,) = add_edges(graph, day, folder / "merged", Tally()).parts
                timed["add"].append(time.process_time() - start)
                start = time.process_time()
                merged.save(folder / "again")
                timed["save"].append(time.process_time() - start)
                boards = np.repeat(np.arange(merged.n_boards, dtype=np.int32), merged.board_degree)
                pins = rng.permutation(len(boards))
                boards = boards[pins]
                pins = np.asarray(merged.board_pins)[pins]
                maps = IdMap.from_ids(np.arange(merged.n_pins)), IdMap.from_ids(np.arange(merged.n_boards))
                start = time.process_time()
                Graph.from_edges(boards, pins, merged.n_boards, merged.n_pins, *maps).save(folder / "new")
                timed["rebuild"].append(time.process_time() - start)
        seconds = {name: round(statistics.median(values), 3) for name, values in timed.items()}
    finally:
        os.sched_setaffinity(0, before)
    return {
        "edges": graph.n_edges,
        "day_edges": n,
        "cpu_seconds": seconds,
        "ratio": {"rebuild": round(seconds["rebuild"] / seconds["add"], 2)},
        "machine": machine(),
    }


def _drawn(rng: np.random.Generator, known: int, n: int) -> np.ndarray:
    """int64[n] ids: most of them known, NEW_SHARE of them not."""
    fresh = known + rng.integers(0, max(int(known * DAY_SHARE), 1), n)
    return np.where(rng.random(n) < NEW_SHARE, fresh, rng.integers(0, known, n))


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv), indent=2))
