"""Memory of processes that walk one graph: mapped by all of them, or read by each.

Processes open the same bundle, walk requests from ten query pins over it, and say what Linux counts for them while all
of them live. A page that n processes have mapped counts as 1/n of a page for each (PSS), so the sum is what they take.

`graph_mb.<mapped, read>.<n>`: of n processes together, what is mapped of the graph's files, or the arrays they read.
`all_mb.<mapped, read>.<n>`: everything, Python and its libraries among it. `rss_mb`: the sum of what `top` shows, which
counts a shared page once for each. `files_mb`: the graph's files; `arrays_mb`: of them what walks read.
`imports_mb.<serve, replica, no_pandas>.<rss, private>`: a process that has imported Ray Serve alone; or what a replica
imports, and done nothing; or the same where pandas, which Ray Serve imports if it can, is not installed.

    python -m apps.bench.graph.shared_graph [--quick]
"""

import json
import multiprocessing
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.graph.synthetic import Shape, make_shape, query_pins
from apps.bench.machine import machine, versions
from apps.bench.processes import mapped_memory
from cluster.graph.csr import Graph
from cluster.walk.walker import Walker, WalkParams

SHAPE = Shape(pins=500_000, boards=125_000, edges=10_500_000, topics=500)
QUICK = Shape(pins=20_000, boards=5_000, edges=300_000, topics=50)
REPLICAS = "serving.deploy.replicas"
PROCESSES = (1, 2, 4, 8)
REQUESTS = 40
QUERY_PINS = 10
PARAMS = WalkParams(steps=200_000)


def run(quick: bool = False) -> dict[str, Any]:
    """Megabytes of 1, 2, 4 and 8 processes."""
    counts = PROCESSES[:2] if quick else PROCESSES
    out: dict[str, Any] = {"graph_mb": {}, "all_mb": {}, "rss_mb": {}}
    with tempfile.TemporaryDirectory(prefix="bench-shared-") as folder:
        graph = make_shape(QUICK if quick else SHAPE).linked()
        graph.save(folder)
        for way in ("mapped", "read"):
            for n in counts:
                told = _processes(folder, way == "read", n)
                for key in ("graph_mb", "all_mb", "rss_mb"):
                    out[key].setdefault(way, {})[n] = round(sum(one[key] for one in told), 1)
        files = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
    size = {"files_mb": round(files, 1), "arrays_mb": round(graph.nbytes / 1e6, 1), "edges": graph.n_edges}
    return {
        **out,
        **size,
        "imports_mb": {
            "serve": _imports("ray.serve"),
            "replica": _imports(REPLICAS),
            "no_pandas": _imports(REPLICAS, "pandas"),
        },
        "requests": REQUESTS,
        "machine": machine(),
        "versions": versions("numba", "numpy"),
    }


def _processes(folder: str, read: bool, n: int) -> list[dict[str, float]]:
    """What each of n processes is told to take, while all of them hold the graph."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(n)]
    workers = [
        context.Process(target=_hold, args=(folder, read, at, theirs), daemon=True)
        for at, (_, theirs) in enumerate(pipes)
    ]
    for worker, (_, theirs) in zip(workers, pipes, strict=True):
        worker.start()
        theirs.close()
    ours = [pipe for pipe, _ in pipes]
    for pipe in ours:
        pipe.recv()  # it has walked
    for pipe in ours:
        pipe.send("look")
    told: list[dict[str, float]] = [pipe.recv() for pipe in ours]
    for pipe, worker in zip(ours, workers, strict=True):
        pipe.send("end")
        worker.join()
    return told


def _hold(folder: str, read: bool, number: int, pipe: Connection) -> None:
    graph = Graph.open(folder)
    if read:
        graph = _in_memory(graph)
    walker = Walker(graph)
    for request in range(REQUESTS):
        walker.walk_indices(query_pins(graph, QUERY_PINS, 1000 * number + request), params=PARAMS, seed=request)
    pipe.send("walked")
    pipe.recv()
    sizes = _sizes(Path("/proc/self/smaps_rollup").read_text())
    taken = graph.nbytes / 1e6 if read else mapped_memory(folder)
    pipe.send({"graph_mb": taken, "all_mb": sizes["Pss"], "rss_mb": sizes["Rss"]})
    pipe.recv()


def _imports(name: str, without: str | None = None) -> dict[str, float]:
    """Of a new process; Python takes a module that is None for one that is not installed."""
    code = f"""
import importlib, sys
if {without!r}: sys.modules[{without!r}] = None
importlib.import_module({name!r})
print(open("/proc/self/smaps_rollup").read())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    sizes = _sizes(told.stdout)
    return {"rss": round(sizes["Rss"], 1), "private": round(sizes["Anonymous"], 1)}


def _in_memory(graph: Graph) -> Graph:
    """The same graph, with the arrays that walks read in this process's own memory."""
    links = graph.links
    assert links is not None
    own = links._replace(pin_boards=np.array(links.pin_boards), board_pins=np.array(links.board_pins))
    pin_index = np.array(graph.pin_index)
    board_index = np.array(graph.board_index)
    return Graph(pin_index, graph.pin_boards, board_index, graph.board_pins, graph.pin_ids, graph.board_ids, links=own)


def _sizes(rollup: str) -> dict[str, float]:
    """What Linux counts for a process by kind (`Pss`, `Rss`, `Anonymous`, …), MB."""
    lines = rollup.splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines if line.endswith("kB")}


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv), indent=2))
