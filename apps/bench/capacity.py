"""What a machine does for a funnel: the cost curves that `pinfunnel plan` reckons with.

CPU time of one pinned core, without a server: walks by graph and steps, requests by candidates and survivors. Then one
server, over HTTP: CPU of all its processes for a request, and memory. Last a graph build with Ray Data.

    python -m apps.bench.capacity [--quick] [--work FOLDER] [--json OUT]
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from apps.bench.graph import build
from apps.bench.graph.synthetic import SHAPES, Shape, make_shape
from apps.bench.machine import machine, versions
from apps.bench.processes import tree_cpu, tree_memory
from apps.bench.serving.load import load
from apps.bench.serving.serve import served
from apps.bench.serving.site import ABOUT, CLIENT, asks, site
from apps.bench.walk.walk_curves import SCALES, cost
from apps.console import write_json
from apps.project import open_project
from cluster import kinds
from cluster.processes import below, name_of
from cluster.settings.clients import StageSizes
from serving.deploy.process_names import is_one
from serving.logs.impressions import log_row, rows_to_table

STEPS = (50_000, 200_000)
QUERIES = 10
SIZES = ((500, 125), (1000, 125), (1000, 500), (2000, 250), (2000, 500))
"""Candidates of a request, and how many of them the lightweight stage leaves."""
PARTITIONS = 8
WALKED = 100_000
"""Steps of each request whose stages are measured."""


def run(quick: bool = False, work: Path | None = None) -> dict[str, Any]:
    """Points of each curve: `walk`, `request`, `log`, `bundle`, `server`, `build`."""
    with TemporaryDirectory(prefix="bench-capacity-") as scratch:
        folder = work or Path(scratch)
        path = site(folder, quick)
        found = {
            "measured": f"{datetime.now(UTC):%Y-%m-%d}",
            "walk": _once(folder, "walk", lambda: _walks(quick)),
            **_once(folder, "requests", lambda: _requests(path, quick)),
            "bundle": _bundle(path),
            "server": _once(folder, "server", lambda: _server(path, quick)),
            "build": _once(folder, "build", lambda: _build(quick)),
        }
    return {**found, "machine": machine(), "versions": versions("ray", "torch", "xgboost-cpu", "numba", "pyarrow")}


def _once(folder: Path, name: str, measure: Callable[[], Any]) -> Any:
    """What was measured into this folder before, or is now: a run that ended half way goes on."""
    file = folder / f"measured-{name}.json"
    if not file.exists():
        write_json(file, measure())
    return json.loads(file.read_text())


def _walks(quick: bool) -> list[dict[str, float]]:
    """CPU ms of a walk by edges and steps, from 10 query pins."""
    shape = SHAPES["quick" if quick else "big"]
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    points = []
    try:
        for scale in SCALES:
            graph = make_shape(Shape(*(max(int(n * scale), 1) for n in shape)))
            for steps in STEPS:
                ms = cost(graph, steps, QUERIES, 3 if quick else 25)
                points.append({"edges": graph.n_edges, "steps": steps, "ms": ms})
    finally:
        os.sched_setaffinity(0, allowed)
    return points


def _requests(path: Path, quick: bool) -> dict[str, Any]:
    """CPU ms of a request's stages by their sizes, its walk of `WALKED` steps included; and of its row of the log."""
    import torch

    torch.set_num_threads(1)
    count = 10 if quick else 60
    points = []
    for candidates, survivors in SIZES:
        opened = open_project(path)
        client = opened.clients[CLIENT]
        sizes = StageSizes(walk=candidates, lightweight=survivors, answer=25)
        walk = client.walk.model_copy(update={"steps": WALKED})
        sized = client.model_copy(update={"sizes": sizes, "walk": walk})
        process = replace(opened, clients={**opened.clients, CLIENT: sized}).new_process()
        process.watcher().poll()
        spent = []
        rows = []
        found = []
        for at, ask in enumerate(asks(len(process.catalogs.current.users), count + 10)):
            began = time.process_time()
            answer = process.funnel.recommend_now(ask)
            if at < 10:
                continue
            spent.append(time.process_time() - began)
            found.append(len(answer.candidates.pins))
            rows.append(log_row(answer, str(at), process.features.schema_hash, "", None))
        points.append(
            {
                "candidates": median(found),
                "survivors": survivors,
                "steps": WALKED,
                "edges": process.catalogs.current.graph.n_edges,
                "ms": 1e3 * median(spent),
            }
        )
    began = time.process_time()
    written = process.logs.write_serving(rows_to_table(rows, process.project.ids, process.features))
    logged = 1e3 * (time.process_time() - began) / len(rows)
    size = sum(Path(str(file)).stat().st_size for file in written)
    return {"request": points, "log": {"candidates": median(found), "ms": logged, "bytes": size / len(rows)}}


def _bundle(path: Path) -> dict[str, float]:
    """Bytes of a graph bundle: its edges with links and without, and all the rest."""
    process = open_project(path).new_process()
    process.watcher().poll()
    graph = process.catalogs.current.graph
    folder = process.store.open(kinds.GRAPH).path
    files = {file: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    links = sum(size for file, size in files.items() if "_links" in file.name)
    edges = sum(size for file, size in files.items() if file.stem in ("pin_boards", "board_pins"))
    return {
        "pins": graph.n_pins,
        "boards": graph.n_boards,
        "edges": graph.n_edges,
        "edge_bytes": edges,
        "link_bytes": links,
        "other_bytes": sum(files.values()) - edges - links,
    }


def _server(path: Path, quick: bool) -> dict[str, float]:
    """CPU ms of all the server's processes for a request over HTTP, and memory that only one process has, in MB."""
    import yaml

    users = yaml.safe_load((path.parent / ABOUT).read_text())["users"]
    rate, seconds = (5.0, 3.0) if quick else (10.0, 30.0)
    with served("colocated", path) as (url, pid):
        load(url, rate, 3.0 if quick else 10.0, users, seed=1)
        before = tree_cpu(pid)
        outcome = load(url, rate, seconds, users, seed=2)
        cpu = tree_cpu(pid) - before
        replicas = [p for p in below(pid) if is_one(name_of(p), "ingress")]
        replica = max(tree_memory(p) for p in replicas) / 2**20
        return {
            "ms": 1e3 * cpu / max(outcome.answered, 1),
            "degraded": outcome.degraded,
            "rate": rate,
            "replica_mb": replica,
            "base_mb": tree_memory(pid) / 2**20 - replica * len(replicas),
        }


def _build(quick: bool) -> dict[str, float]:
    """CPU seconds and peak memory of a build from Parquet."""
    with TemporaryDirectory(prefix="bench-capacity-") as scratch:
        edges = build.write_edges(Path(scratch) / "edges", "quick" if quick else "big", "sparse")
        found = build.timed("ray", Path(scratch), PARTITIONS)
    return {"edges": edges, **{name: found[name] for name in build.MEASURED}}


def main(
    quick: bool = False,
    work: Annotated[Path | None, typer.Option(help="keeps the site and what was measured; a run goes on there")] = None,
    out: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure, and write what `pinfunnel plan --curves` reads."""
    found = run(quick, work)
    typer.echo(f"measured on {found['machine']}", file=sys.stderr)
    write_json(out, found)


if __name__ == "__main__":
    typer.run(main)
