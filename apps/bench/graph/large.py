"""An edge list larger than the build's memory: built, dealt to parts, walked, served.

Edges are drawn a slab at a time into Parquet, in random order, with ids that are no indices. `pinfunnel build-graph`
runs with `graph: {shards: 1}` and no similar pins (they need all edges in memory); then the same bundle is dealt to
SHARDS parts, as a build with that setting does last. Other things may run on the machine: see the `load` of each step.

`input`: `rows` drawn; `edge_list_mb`, 16 bytes each, as int64 pairs; `parquet_mb`; `seconds`.
`build`: `seconds`, `edges`, `peak_mb` of anonymous memory of the command and all that it starts (Ray too), `bundle_mb`.
`deal`: `seconds`, `peak_mb`, `shards`. `walks` and `served`: apps/bench/graph/large_walks.py.

    python -m apps.bench.graph.large --work FOLDER [--quick] [--json OUT]     # goes on where it was
"""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import yaml

from apps.bench.graph.build import ROW_GROUP, SPREAD
from apps.bench.graph.large_walks import served, walks
from apps.bench.graph.synthetic import Shape, stream_edges
from apps.bench.machine import machine, versions
from apps.bench.processes import tree_memory
from apps.project import open_project
from cluster.catalog.finish import graph_meta
from cluster.graph.csr import Graph
from cluster.graph.files import FACTS
from cluster.graph.sharded import open_graph
from cluster.graph.splitting import lay_out
from cluster.kinds import GRAPH
from cluster.ports import free_ports
from cluster.store.disk import link_or_copy
from cluster.walk.sharded import ANSWER

LARGE = Shape(pins=10_000_000, boards=2_750_000, edges=232_000_000, topics=10_000)
QUICK = Shape(pins=20_000, boards=5_000, edges=300_000, topics=20)
SHARDS = 4
PARTITIONS = 48
REQUESTS = 100
CLIENT = {"name": "homefeed", "sources": {"walk": ANSWER}}


def run(quick: bool = False, work: Path | None = None) -> dict[str, Any]:
    """All of it; with `work`, steps that are done there are not done again."""
    if work is None:
        with TemporaryDirectory(prefix="bench-large-") as folder:
            return run(quick, Path(folder))
    work.mkdir(parents=True, exist_ok=True)
    noted = work / "measured.json"
    out: dict[str, Any] = json.loads(noted.read_text()) if noted.exists() else {}
    shape = QUICK if quick else LARGE
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "input": lambda: _generate(work / "edges", shape),
        "build": lambda: _build(work),
        "deal": lambda: _deal(work),
        "walks": lambda: walks(work / "whole", work / "parts", 5 if quick else REQUESTS),
        "served": lambda: served(work / "whole", work / "parts", 5 if quick else REQUESTS),
    }
    for name, step in steps.items():
        if name not in out:
            out[name] = {**step(), "load": machine()["load"]}
            noted.write_text(json.dumps(out))
    return {**out, "machine": machine(), "versions": versions("ray", "numpy", "numba", "pyarrow")}


def _generate(folder: Path, shape: Shape) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    began = time.perf_counter()
    for at, pair in enumerate(stream_edges(shape)):
        ids = [((one.astype(np.uint64) * np.uint64(SPREAD)) >> np.uint64(2)).astype(np.int64) for one in pair]
        table = pa.table({"board_id": ids[0], "pin_id": ids[1]})
        pq.write_table(table, folder / f"{at:04d}.parquet", row_group_size=ROW_GROUP)
    return {
        "rows": shape.edges,
        "edge_list_mb": round(shape.edges * 16 / 1e6),
        "parquet_mb": _megabytes(folder),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _build(work: Path) -> dict[str, Any]:
    project = _project(work, 1)
    with _Peak() as peak:
        began = time.perf_counter()
        command = [sys.executable, "-P", "-m", "pinfunnel", "build-graph", "--project", str(project)]
        peak.of = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        _, faults = peak.of.communicate()
        if peak.of.returncode:
            raise RuntimeError(f"build-graph ended with {peak.of.returncode}: {faults.strip()[-300:]}")
        seconds = time.perf_counter() - began
    store = open_project(project).new_process().store
    bundle = store.open(GRAPH, verify=False)
    return {
        "seconds": round(seconds, 1),
        "peak_mb": peak.megabytes,
        "bundle_mb": _megabytes(bundle.path),
        "edges": open_graph(bundle.path / "graph").n_edges,
    }


def _deal(work: Path) -> dict[str, Any]:
    """A bundle of the same, in parts; run in a process of its own for its memory."""
    _project(work, SHARDS)
    with _Peak() as peak:
        began = time.perf_counter()
        code = f"from pathlib import Path; from apps.bench.graph.large import deal; deal(Path({str(work)!r}))"
        peak.of = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        _, faults = peak.of.communicate()
        if peak.of.returncode:
            raise RuntimeError(f"dealing ended with {peak.of.returncode}: {faults.strip()[-300:]}")
    return {"seconds": round(time.perf_counter() - began, 1), "peak_mb": peak.megabytes, "shards": SHARDS}


def deal(work: Path) -> None:
    """Publishes the whole bundle's content in parts, in the home of the project with that setting."""
    whole = open_project(work / "whole" / "pinfunnel.yaml").new_process().store.open(GRAPH, verify=False)
    opened = open_project(work / "parts" / "pinfunnel.yaml")
    with opened.new_process().store.write(GRAPH, graph_meta(opened.project)) as (folder, _):
        for file in sorted(path for path in whole.path.rglob("*") if path.is_file() and path.name != "manifest.json"):
            target = folder / file.relative_to(whole.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copyfile if file.name == FACTS else link_or_copy)(file, target)  # that one is written anew
        lay_out(folder / "graph", Graph.open(folder / "graph"), opened.project.graph)


def _project(work: Path, shards: int) -> Path:
    folder = work / ("whole" if shards == 1 else "parts")
    (folder / "clients").mkdir(parents=True, exist_ok=True)
    (folder / "clients" / "homefeed.yaml").write_text(yaml.safe_dump(CLIENT))
    settings = {
        "home": str(folder / "home"),
        "clients": str(folder / "clients"),
        "data": {"edges": {"path": str(work / "edges")}},
        "graph": {"partitions": PARTITIONS, "shards": shards},
        "similarity": {"neighbours": 0},
        "serving": {"port": free_ports(1)[0], "deadline_ms": 10_000},
    }
    path = folder / "pinfunnel.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


class _Peak:
    """The most anonymous memory that a process and all below it had, looked at four times a second."""

    of: "subprocess.Popen[str] | None" = None

    def __enter__(self) -> "_Peak":
        self._bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.25):
            if self.of is not None:
                self._bytes = max(self._bytes, tree_memory(self.of.pid))

    @property
    def megabytes(self) -> int:
        return round(self._bytes / 1e6)


def _megabytes(folder: Path) -> int:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6)


def main(
    quick: bool = False,
    work: Annotated[Path | None, typer.Option(help="keeps edges and bundles; a run goes on there")] = None,
    out: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure."""
    found = json.dumps(run(quick, work), indent=2)
    if out is not None:
        out.write_text(found)
    typer.echo(found)


if __name__ == "__main__":
    typer.run(main)
