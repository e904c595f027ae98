"""Walks of 200k steps beside other engines and beside memory itself.

One process pinned to one core, engines in alternation; a figure is the median CPU time of a request (all threads of the
process counted). Knows nothing of serving. The keys are explained in docs/walker.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np

from apps.bench.graph.synthetic import SHAPES, make, query_pins
from apps.bench.machine import machine, versions
from apps.bench.walk.peers import TOP_K, distinct_lines, gather, peers
from cluster.graph.csr import Graph
from cluster.walk.exact import visit_distribution
from cluster.walk.reference import plain_pixie
from cluster.walk.walker import Walker, WalkParams

STEPS = 200_000
QUERIES = (1, 10, 50)
PARAMS = WalkParams(steps=STEPS, top_k=TOP_K, drop_query=False)


def run(
    quick: bool = False,
    graphs: tuple[str, ...] = ("small", "big"),
    repeats: int = 15,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Every figure as a nested dict. `quick`: one little graph and few repeats, to see that it works."""
    if quick:
        graphs = ("quick",)
        repeats = 3
    say = progress or (lambda _: None)
    out: dict[str, Any] = {
        "ms": {},
        "ratio": {},
        "skipped": {},
        "quality": {},
        "graph": {},
        "machine": machine(),
        "versions": versions("numba", "numpy", "torch", "dgl", "torch_cluster"),
    }
    allowed = os.sched_getaffinity(0)
    for name in graphs:
        say(f"building graph {name}")
        plain = make(name)
        graph = plain.linked("auto")  # as a build leaves it
        other, kind = (plain.linked(), "links") if graph.links is None else (plain, "ids")
        out["graph"][name] = SHAPES[name]._asdict() | {
            "edges": graph.n_edges,
            "bytes_per_edge": graph.nbytes / graph.n_edges,
            f"bytes_per_edge_{kind}": other.nbytes / other.n_edges,
        }
        engines, skipped = peers(graph)
        out["skipped"].update(skipped)
        walker = Walker(graph)
        engines = {"pinfunnel": _engine(walker), f"pinfunnel_{kind}": _engine(Walker(other))} | engines
        os.sched_setaffinity(0, {min(allowed)})
        try:
            for q in QUERIES:
                say(f"{name}: {q} query pins")
                measure(out, name, graph, engines, q, repeats)
            out["ms"].setdefault("p99", {})[name] = {"q50": percentile(walker, graph, 20 if quick else 300)}
        finally:
            os.sched_setaffinity(0, allowed)
        out["quality"][name] = overlap(walker, graph, 2 if quick else 5)
        out.setdefault("two_threads", {})[name] = throughput(walker, graph, 40 if quick else 200)
    return out


def _engine(walker: Walker) -> Callable[[np.ndarray, int, int], Any]:
    return lambda pins, steps, seed: walker.walk_indices(pins, params=PARAMS, seed=seed)


def measure(out: dict[str, Any], name: str, graph: Graph, engines: dict[str, Any], q: int, repeats: int) -> None:
    """Adds ms.<engine>.<name>.q<q> and the ratios to pinfunnel's median."""
    requests = [query_pins(graph, q, seed) for seed in range(repeats + 1)]
    times: dict[str, list[float]] = {engine: [] for engine in engines}
    line_ns: list[float] = []
    index = np.random.default_rng(0).integers(0, graph.n_edges, 300_000).astype(np.uint64)
    for turn, pins in enumerate(requests):
        for engine, ask in engines.items():
            began = time.process_time()
            ask(pins, STEPS, turn)
            if turn:  # the first warms up
                times[engine].append(1e3 * (time.process_time() - began))
        began = time.process_time()
        gather(graph.board_pins, np.roll(index, turn))
        if turn:
            line_ns.append(1e9 * (time.process_time() - began) / index.size)
    for engine, spent in times.items():
        out["ms"].setdefault(engine, {}).setdefault(name, {})[f"q{q}"] = median(spent)
    ours = median(times["pinfunnel"])
    lines = median(distinct_lines(graph, pins, STEPS, 0) for pins in requests[1:4])
    limit = lines * median(line_ns) * 1e-6
    out["ms"].setdefault("limit", {}).setdefault(name, {})[f"q{q}"] = limit
    out.setdefault("line_ns", {}).setdefault(name, {})[f"q{q}"] = median(line_ns)
    for engine in engines:
        if engine != "pinfunnel":
            out["ratio"].setdefault(engine, {}).setdefault(name, {})[f"q{q}"] = median(times[engine]) / ours
    out["ratio"].setdefault("limit", {}).setdefault(name, {})[f"q{q}"] = ours / limit


def percentile(walker: Walker, graph: Graph, requests: int) -> float:
    """99th percentile of the CPU milliseconds of requests with 50 query pins each."""
    spent = []
    for seed in range(requests):
        pins = query_pins(graph, 50, 1000 + seed)
        began = time.process_time()
        walker.walk_indices(pins, params=PARAMS, seed=seed)
        spent.append(1e3 * (time.process_time() - began))
    return float(np.percentile(spent, 99))


def overlap(walker: Walker, graph: Graph, pins: int) -> dict[str, float]:
    """Mean share of the exact 1000 best pins that walks of one query pin find: 50k stratified steps, 200k plain."""
    ours = []
    plain = []
    for seed in range(pins):
        pin = query_pins(graph, 1, 500 + seed)
        start = np.zeros(graph.n_pins)
        start[pin] = 1.0
        best = set(np.argsort(-visit_distribution(graph, start, PARAMS.restart, 1e-4))[:TOP_K].tolist())
        few = WalkParams(steps=STEPS // 4, top_k=TOP_K, drop_query=False)
        ours.append(len(best & set(walker.walk_indices(pin, params=few, seed=seed).pins.tolist())) / TOP_K)
        many = plain_pixie(graph, pin, np.ones(1), STEPS, PARAMS.restart, TOP_K, seed)[0]
        plain.append(len(best & set(many.tolist())) / TOP_K)
    return {"overlap_50k_stratified": float(np.mean(ours)), "overlap_200k_plain": float(np.mean(plain))}


def throughput(walker: Walker, graph: Graph, requests: int) -> dict[str, float]:
    """Requests a second (wall clock) of one thread and of two, ten query pins each, and their ratio."""
    jobs = [(query_pins(graph, 10, seed), seed) for seed in range(requests)]

    def serve(job: tuple[np.ndarray, int]) -> None:
        walker.walk_indices(job[0], params=PARAMS, seed=job[1])

    rates = []
    for threads in (1, 2):
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(serve, jobs[: 4 * threads]))  # each thread sets its memory up
            began = time.perf_counter()
            list(pool.map(serve, jobs))
            rates.append(requests / (time.perf_counter() - began))
    return {"one": rates[0], "two": rates[1], "ratio": rates[1] / rates[0]}
