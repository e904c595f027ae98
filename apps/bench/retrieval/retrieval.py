"""The 500 nearest of a million vectors under filters, beside faiss, hnswlib and NumPy.

Inner products of 64 numbers, one query at a time on one pinned core, all engines in turns; filters that leave 100, 10
and 1 % of the rows. `read` is the time to read our bytes once, which no exact scan can do without.

    pinfunnel bench retrieval [--quick] [--json OUT]
"""

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from apps.bench.machine import machine, versions
from apps.bench.retrieval.vector_peers import Peer, peers
from cluster.content.index import VectorIndex

SHARES = (1.0, 0.1, 0.01)
K = 500
WIDTH = 64
EFFORT = 2_000
"""Candidates that the graphs keep while they search; with fewer they find less, and their recall is told."""


def run(quick: bool = False, repeats: int = 15) -> dict[str, Any]:
    """`ms.<engine>.<share>`, `recall.<engine>.<share>`, `ratio`: theirs to ours."""
    n = 20_000 if quick else 1_000_000
    repeats = 3 if quick else repeats
    vectors, queries = drawn(n, repeats)
    filters = {share: np.random.default_rng(1).random(n) < share for share in SHARES if share < 1}
    index = VectorIndex(vectors)
    found, skipped = peers(vectors, list(filters.values()), EFFORT)
    engines: dict[str, Peer] = {"ours": lambda query, k, may: index.top(query, k, may)[0], **found}
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        figures = {share: _in_turns(engines, vectors, queries, filters.get(share)) for share in SHARES}
        read = _ms(lambda: index.bytes.view(np.int64).sum())
    finally:
        os.sched_setaffinity(0, cores)
    names = {share: f"{share:.0%}" for share in SHARES}
    return {
        "ms": {e: {names[s]: figures[s][0][e] for s in SHARES} for e in engines},
        "recall": {e: {names[s]: figures[s][1][e] for s in SHARES} for e in engines},
        "ratio": {e: {names[s]: round(figures[s][0][e] / figures[s][0]["ours"], 2) for s in SHARES} for e in found},
        "read": read,
        "skipped": skipped,
        "rows": n,
        "k": K,
        "machine": machine(),
        "versions": versions("numpy", "numba", "faiss-cpu", "hnswlib"),
    }


def drawn(n: int, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around a thousand centres, of unequal length, as learnt ones are; and queries near some of them."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((1000, WIDTH)).astype(np.float32)
    vectors = centres[rng.integers(0, len(centres), n)] + rng.standard_normal((n, WIDTH), dtype=np.float32)
    vectors *= rng.lognormal(0, 0.3, (n, 1)).astype(np.float32)
    asked = vectors[rng.integers(0, n, queries)] + 0.3 * rng.standard_normal((queries, WIDTH), dtype=np.float32)
    return vectors, asked


def _in_turns(
    engines: dict[str, Peer], vectors: np.ndarray, queries: np.ndarray, may: np.ndarray | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Median milliseconds of CPU, and the share of the true 500 that were found."""
    taken: dict[str, list[float]] = {name: [] for name in engines}
    hits: dict[str, list[float]] = {name: [] for name in engines}
    for query in queries:
        scores = vectors @ query
        scores[~may if may is not None else []] = -np.inf
        wanted = np.argpartition(-scores, K)[:K]
        wanted = wanted[np.isfinite(scores[wanted])]
        for name, search in engines.items():
            search(query, K, may)
            began = time.thread_time()
            rows = search(query, K, may)
            taken[name].append(1e3 * (time.thread_time() - began))
            hits[name].append(float(np.isin(wanted, rows).mean()))
    return (
        {name: round(median(each), 3) for name, each in taken.items()},
        {name: round(float(np.mean(each)), 4) for name, each in hits.items()},
    )


def _ms(work: Callable[[], Any], repeats: int = 9) -> float:
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        work()
        times.append(1e3 * (time.thread_time() - began))
    return round(median(times), 3)
