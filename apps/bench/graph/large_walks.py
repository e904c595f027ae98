"""Walks over a large graph, whole and in parts, by processes at the same time and over HTTP.

`walks.<whole, parts, part>`: processes that walk requests of QUERIES pins and STEPS steps at the same time: `p50` and
`p99` milliseconds (wall clock), the median of `cpu` milliseconds, and `graph_mb`, what each has mapped of the graph's
files (PSS). whole: the one graph, by PROCESSES; parts: all parts, one after the other, by as many; part: a process for
each part, walking its share.
`served.<colocated, separate>`: milliseconds of answers over HTTP, one at a time, of a client with the walk alone: from
the whole graph in one process, and from a deployment for each part; `degraded`: answers that lacked something.
"""

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from apps.bench.graph.synthetic import query_pins
from apps.bench.processes import mapped_memory
from apps.project import open_project
from cluster import session
from cluster.graph.any_graph import AnyGraph
from cluster.graph.sharded import open_graph
from cluster.kinds import GRAPH
from cluster.walk.sharded import ANSWER, ShardWalker, walker_of
from cluster.walk.walker import WalkParams

PROCESSES = 2
QUERIES = 10
STEPS = 100_000
WARM = 30


def walks(whole: Path, parts: Path, requests: int) -> dict[str, Any]:
    """Of the projects in two folders."""
    out = {}
    for name in ("whole", "parts", "part"):
        project = open_project((whole if name == "whole" else parts) / "pinfunnel.yaml")
        folder = project.new_process().store.open(GRAPH, verify=False).path / "graph"
        context = multiprocessing.get_context("spawn")
        n = len(open_graph(folder).parts) if name == "part" else PROCESSES
        pipes = [context.Pipe() for _ in range(n)]
        workers = [
            context.Process(target=_walk, args=(str(folder), at if name == "part" else None, at, requests, theirs))
            for at, (_, theirs) in enumerate(pipes)
        ]
        for worker in workers:
            worker.start()
        told = [ours.recv() for ours, _ in pipes]
        for worker, (ours, _) in zip(workers, pipes, strict=True):
            ours.send("end")
            worker.join()
        ms = np.concatenate([one[0] for one in told])
        cpu = np.concatenate([one[1] for one in told])
        out[name] = {
            "processes": len(workers),
            **_quantiles(ms),
            "cpu": round(float(np.median(cpu)), 2),
            "graph_mb": [round(one[2]) for one in told],
        }
    return out


def _walk(folder: str, part: int | None, number: int, requests: int, pipe: Connection) -> None:
    graph = open_graph(folder)
    params = WalkParams(steps=STEPS, top_k=ANSWER)
    walker = walker_of(graph) if part is None else ShardWalker(graph, graph.parts[part], part, ANSWER)
    none = np.empty(0, np.int64)
    spent = []
    busy = []
    for request in range(-WARM, requests):  # the first ones compile, and map what is hot
        pins = _queries(graph, part or 0, 1000 * (number if part is None else 0) + request + WARM).astype(np.int64)
        began = time.perf_counter()
        on_cpu = time.thread_time()
        if isinstance(walker, ShardWalker):
            walker.walk(params, pins, none, np.ones(QUERIES), request + WARM)
        else:
            walker.walk_indices(pins, params=params, seed=request + WARM)
        if request >= 0:
            spent.append(1e3 * (time.perf_counter() - began))
            busy.append(1e3 * (time.thread_time() - on_cpu))
    pipe.send((np.array(spent), np.array(busy), mapped_memory(folder)))
    pipe.recv()


def _queries(graph: AnyGraph, part: int, seed: int) -> np.ndarray:
    return query_pins(graph.parts[part], QUERIES, seed)


def served(whole: Path, parts: Path, requests: int) -> dict[str, Any]:
    """The same, over HTTP."""
    session.set_flags(None)
    from apps.serve import start

    out = {}
    for shape, folder in (("colocated", whole), ("separate", parts)):
        path = folder / "pinfunnel.yaml"
        graph = open_graph(open_project(path).new_process().store.open(GRAPH, verify=False).path / "graph")
        with session.session(dashboard=False):
            server = start(str(path), shape=shape, cpus=0.05, ingress_replicas=1)
            try:
                out[shape] = _asked(server.url, graph, requests)
            finally:
                server.stop(last=True)
    return out


def _asked(url: str, graph: AnyGraph, requests: int) -> dict[str, Any]:
    spent = []
    degraded = 0
    with httpx.Client(base_url=url, timeout=30) as http:
        for request in range(-WARM, requests):
            pins = graph.pin_ids.ids_of(_queries(graph, 0, request + WARM)).tolist()
            began = time.perf_counter()
            body = {"query_pins": [{"pin_id": pin} for pin in pins]}
            answer = http.post("/v1/homefeed/recommendations", json=body).raise_for_status().json()
            if request >= 0:
                spent.append(1e3 * (time.perf_counter() - began))
                degraded += bool(answer["degraded"])
    return {**_quantiles(np.array(spent)), "requests": requests, "degraded": degraded}


def _quantiles(ms: np.ndarray) -> dict[str, float]:
    return {"p50": round(float(np.median(ms)), 2), "p99": round(float(np.quantile(ms, 0.99)), 2)}
