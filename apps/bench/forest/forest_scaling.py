"""The forest kernel on all cores at once: pins a second of threads and of processes.

Wall clock, so it wants a machine with nothing else on it; `alone` is one worker on one pinned core. Threads share an
interpreter, as the requests of one replica do; processes are replicas. Features are stored as bytes per pin, as in
`ratio` of the bench `forest`.

    python -m apps.bench.forest.forest_scaling [--quick]
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.forest.bound import BoundForest
from apps.bench.forest.data import GOAL, USERS, C, N, S, make_model, make_requests, where
from serving.forest.forest import Forest

REPEATS = 5

Requests = tuple[list[np.ndarray], list[np.ndarray]]


def bind(path: str, trees: int) -> tuple[BoundForest, Requests]:
    """The forest of a model file with its pin table, and the users and pins of USERS requests."""
    same, _ = make_requests(trees + 1)
    table = np.concatenate([rows[:, S:] for rows in same])
    users = [rows[0, :S].copy() for rows in same]
    pins = [np.arange(i * N, (i + 1) * N, dtype=np.int32) for i in range(USERS)]
    return BoundForest(Forest.load(path, S), table, range(C)), (users, pins)


def work(bound: BoundForest, requests: Requests, count: int) -> float:
    """Seconds of `count` requests."""
    users, pins = requests
    none = np.empty((N, 0), np.float32)
    before = time.perf_counter()
    for i in range(count):
        bound.score(users[i % USERS], pins[i % USERS], none)
    return time.perf_counter() - before


def _process(path: str, trees: int, core: int, count: int, start: Barrier, out: Any) -> None:
    os.sched_setaffinity(0, {core})
    bound, requests = bind(path, trees)
    work(bound, requests, USERS)
    for _ in range(REPEATS):
        start.wait()
        out.put(work(bound, requests, count))


def processes(path: str, trees: int, cores: list[int], count: int) -> float:
    """Pins a second of one process on each of `cores`, all at once; the best of REPEATS turns."""
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(len(cores)), context.Queue()
    workers = [context.Process(target=_process, args=(path, trees, core, count, start, out)) for core in cores]
    for worker in workers:
        worker.start()
    turns = [[out.get(timeout=120) for _ in cores] for _ in range(REPEATS)]
    for worker in workers:
        worker.join()
    return max(len(cores) * count * N / max(turn) for turn in turns)


def threads(path: str, trees: int, cores: list[int], count: int) -> float:
    """Pins a second of as many threads as cores in this process; the best of REPEATS turns."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    bound, requests = bind(path, trees)
    best = 0.0
    with ThreadPoolExecutor(len(cores)) as pool:
        list(pool.map(lambda _: work(bound, requests, USERS), cores))
        for _ in range(REPEATS):
            began = time.perf_counter()
            list(pool.map(lambda _: work(bound, requests, count), cores))
            best = max(best, len(cores) * count * N / (time.perf_counter() - began))
    os.sched_setaffinity(0, before)
    return best


def run(quick: bool = False) -> dict[str, Any]:
    """Million pins a second by trees and way, scaling over one core, cores for 75 million at the rate of all."""
    cores = list(range(os.cpu_count() or 1))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-forest-") as folder:
        for trees in (100, 300):
            path = str(Path(folder) / f"{trees}.ubj")
            make_model(trees, 20_000 if quick else 100_000)[0].save_model(path)
            count = (500 if quick else 5000) * 100 // trees
            alone = processes(path, trees, cores[-1:], count)
            both = {"threads": threads(path, trees, cores, count), "processes": processes(path, trees, cores, count)}
            found[str(trees)] = {
                "million_pins_per_second": {k: round(v / 1e6, 2) for k, v in {"alone": alone, **both}.items()},
                "scaling": {k: round(v / alone, 2) for k, v in both.items()},
                "cores_for_75m": {k: round(GOAL / (v / len(cores)), 2) for k, v in both.items()},
            }
    return {"cores": len(cores), "models": found, **where()}


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv), indent=2))
