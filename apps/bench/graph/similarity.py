"""Which pins are alike: what a request pays to know it, beside rows of SciPy.

A synthetic catalogue whose rows lie anywhere in memory, as those of a user's pins do. The same sums from `scipy.sparse`
rows, by turns in this process, on one pinned core. Bar: 2 ms of CPU for 2,000 candidates.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from apps.bench.machine import machine, versions
from cluster.features.inputs import CandidateInput, HistoryInput, QueryInput, RequestInput, SourceInput, UserInput
from cluster.similarity.neighbours import Neighbours
from cluster.similarity.spread import warm
from cluster.similarity.tables import Similarity

CANDIDATES = 2000
QUERIES = 30
ACTIONS = 5
NEIGHBOURS = 256
LENGTHS = (32, 128, 512)
"""Actions that a user's history has."""
BAR_MS = 2.0


def run(quick: bool = False) -> dict[str, Any]:
    """CPU milliseconds p50 by length of history, ours and SciPy's, their ratio, and the bytes of rows that are read."""
    pins, rounds = (2_000, 5) if quick else (200_000, 60)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    similarity = Similarity(*(_table(rng, pins) for _ in range(4)))
    sparse = {name: _sparse(getattr(similarity, name)) for name in ("linear", "cosine", "steps", "follows")}
    warm()
    figures: dict[str, Any] = {"machine": {**machine(), **versions("numpy", "numba", "scipy")}, "bar_ms": BAR_MS}
    for length in LENGTHS:
        requests = [_request(rng, pins, length, similarity) for _ in range(rounds)]
        ours, theirs = [], []
        for request in requests:  # each request once: nothing that it computed is there already
            ours.append(_cpu(partial(_all_sums, request)))
            theirs.append(_cpu(partial(_by_scipy, request, sparse)))
        p50, peer = float(np.median(ours)) * 1e3, float(np.median(theirs)) * 1e3
        read = 4 * (length + QUERIES) * NEIGHBOURS * 8
        figures[f"history_{length}"] = {
            "ms": round(p50, 3),
            "scipy_ms": round(peer, 3),
            "ratio": round(peer / p50, 1),
            "bytes_of_rows": read,
            "gigabytes_per_second": round(read / p50 / 1e6, 2),
            "met": p50 <= BAR_MS,
        }
    return figures


def _all_sums(request: RequestInput) -> None:
    _ = request.linear, request.cosine, request.steps, request.follows


def _by_scipy(request: RequestInput, tables: dict[str, sp.csr_array]) -> None:
    """The sums alone, without the maxima: what a page of SciPy would do."""
    rows = np.concatenate([request.history.pins, request.query.pins])
    share = np.ones((len(rows), 3 + ACTIONS), np.float32)
    for name, columns in (("linear", 3 + ACTIONS), ("cosine", 3), ("steps", 3), ("follows", 2)):
        _ = (share[:, :columns].T @ tables[name][rows])[:, request.found.pins]


def _cpu(call: Callable[[], None]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began


def _table(rng: np.random.Generator, pins: int) -> Neighbours:
    """Rows of distinct pins, mostly near each other as those of a topic are, so that some of them are candidates."""
    near = rng.permuted(np.tile(np.arange(1, 4 * NEIGHBOURS, dtype=np.int32), (64, 1)), axis=1)[:, :NEIGHBOURS]
    ids = (np.arange(pins, dtype=np.int32)[:, None] + near[rng.integers(0, 64, pins)]) % pins
    return Neighbours(ids.astype(np.int32), rng.random((pins, NEIGHBOURS), np.float32))


def _sparse(table: Neighbours) -> sp.csr_array:
    n, k = table.ids.shape
    return sp.csr_array((table.weights.ravel(), table.ids.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))


def _request(rng: np.random.Generator, pins: int, length: int, similarity: Similarity) -> RequestInput:
    none = np.empty(0, np.float32)
    rows = np.empty((0, 0), np.float32)
    base = int(rng.integers(0, pins))
    around = ((base + rng.permutation(min(pins, 20_000))) % pins).astype(np.int32)  # one topic's part of the catalogue
    no_source = SourceInput((), rows, rows)
    return RequestInput(
        UserInput(none, none, -1, none, none.astype(bool), rows, rows),
        QueryInput(around[:QUERIES], np.ones(QUERIES, np.float32), none, rows, rows, 0, 0),
        CandidateInput(
            around[-CANDIDATES:], no_source, none, none, none, rows, none, none, rows, rows, rows, none, none
        ),
        HistoryInput(
            rng.choice(around, length).astype(np.int32),
            rng.integers(0, ACTIONS, length).astype(np.int16),
            rng.random(length) < 0.8,
            rows,
        ),
        similarity,
        ACTIONS,
    )
