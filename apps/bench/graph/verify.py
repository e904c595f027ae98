"""What a graph costs before a swap: checksums, and every index within its bounds.

CPU seconds of one core, medians of turns, files in the page cache. Beside them: only reading the files, and what
SHA-256 in place of CRC-32 would cost.

    pinfunnel bench verify [--quick] [--json OUT]
"""

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apps.bench.graph.synthetic import make
from apps.bench.machine import machine, versions
from cluster.graph.checks import check_graph
from cluster.graph.csr import Graph
from cluster.kinds import GRAPH
from cluster.store.bundles import BundleStore

BLOCK = 1 << 22


def run(quick: bool = False, repeats: int = 5) -> dict[str, Any]:
    """CPU seconds and MB/s of each step over the files of one graph, links and ids among them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        with tempfile.TemporaryDirectory(prefix="bench-verify-") as scratch:
            store = BundleStore(scratch)
            with store.write(GRAPH, {}) as (folder, _):
                make("quick" if quick else "big").linked().save(folder)
            path = store.open(GRAPH, verify=False).path
            steps: dict[str, Callable[[], Any]] = {
                "sizes": lambda: store.open(GRAPH, verify=False),
                "checksums": lambda: store.open(GRAPH),
                "indices": lambda: check_graph(Graph.open(path)),
                "read": lambda: _all_blocks(path, len),
                "sha256": lambda: _all_blocks(path, hashlib.sha256().update),
            }
            timed: dict[str, list[float]] = {name: [] for name in steps}
            for _ in range(repeats):
                for name, step in steps.items():
                    start = time.process_time()
                    step()
                    timed[name].append(time.process_time() - start)
            megabytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
            edges = Graph.open(path).n_edges
    finally:
        os.sched_setaffinity(0, before)
    seconds = {name: statistics.median(times) for name, times in timed.items()}
    return {
        "edges": edges,
        "megabytes": round(megabytes, 1),
        "seconds": {name: round(one, 4) for name, one in seconds.items()},
        "megabytes_per_second": {name: round(megabytes / one) for name, one in seconds.items() if name != "sizes"},
        "repeats": repeats,
        "machine": machine(),
        "versions": versions("numpy"),
    }


def _all_blocks(folder: Path, use: Callable[[bytes], Any]) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                while block := stream.read(BLOCK):
                    use(block)
