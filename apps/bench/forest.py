"""Bench of the forest kernel against XGBoost and, where installed, daal4py, CatBoost and onnxruntime.

One process, one pinned core, engines alternating, median CPU time of a request of 2,000 candidates that share 16 of
40 features. `ratio` takes ours as it serves: the candidates' features stored as bytes per pin, then gather, specialise
and scan. `ratio_from_floats` takes ours from a float matrix that is binned in the request, as XGBoost starts;
batches that mix users always do. Peers: `pip install -r apps/bench/peers.txt` in an environment of your own (daal4py
comes in scikit-learn-intelex); one that is missing is named and left out.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from apps.bench.forest_peers import PEERS
from serving.forest import Forest
from serving.forest_native import best_level

S, C, N, TOP, STATIC, DEPTH = 16, 24, 2000, 500, 20, 6
USERS = 12  # requests in a round
GOAL = 75e6

Call = Callable[[int], Any]  # scores request i


def make_model(trees: int, rows: int) -> tuple[xgboost.Booster, np.ndarray, np.ndarray]:
    """A binary model whose label depends on user, pin, and user x pin; also its data."""
    rng = np.random.default_rng(trees)
    x = rng.normal(size=(rows, S + C)).astype(np.float32)
    cross = (x[:, :S] @ rng.normal(size=(S, C)) * x[:, S:]).sum(1)
    y = (x @ rng.normal(size=S + C) + 0.3 * cross + rng.normal(size=rows) > 0).astype(np.float32)
    params = {"objective": "binary:logistic", "max_depth": DEPTH, "tree_method": "hist", "max_bin": 256, "nthread": 1}
    return xgboost.train(params, xgboost.DMatrix(x, y), trees), x, y


def make_requests(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Rows float32[N, S + C] of USERS requests: with one user each, and with a user per row."""
    rng = np.random.default_rng(seed)
    mixed = [rng.normal(size=(N, S + C)).astype(np.float32) for _ in range(USERS)]
    same = [rows.copy() for rows in mixed]
    for rows in same:
        rows[:, :S] = rows[0, :S]
    return same, mixed


def cpu_us(call: Call, i: int) -> float:
    before = time.process_time_ns()
    call(i)
    return (time.process_time_ns() - before) / 1e3


def measure(engines: dict[str, Call], rounds: int, burst: bool) -> dict[str, float]:
    """Median CPU µs per request of each engine: a round of requests each in turn, or one request each in turn."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for call in engines.values():
        call(0)
    for _ in range(rounds):
        if burst:
            for name, call in engines.items():
                times[name] += [cpu_us(call, i) for i in range(USERS)]
        else:
            for i in range(USERS):
                for name, call in engines.items():
                    times[name].append(cpu_us(call, i))
    return {name: round(float(np.median(t)), 2) for name, t in times.items()}


def bench_model(trees: int, rounds: int, rows: int) -> dict[str, Any]:
    booster, x, y = make_model(trees, rows)
    booster.set_param({"nthread": 1})
    same, mixed = make_requests(trees + 1)
    users = [r[0, :S].copy() for r in same]
    candidates = [np.ascontiguousarray(r[:, S:]) for r in same]
    forest = Forest.from_booster(booster, S)
    forest.warm()
    assert forest.trees is not None
    splits = forest.trees.feature[forest.trees.feature >= 0]
    want = [booster.predict(xgboost.DMatrix(r), output_margin=True) for r in same]
    engines: dict[str, Call] = {
        "ours": lambda i: forest.margins(users[i], candidates[i]),
        "xgboost": lambda i: booster.inplace_predict(same[i], predict_type="margin"),
    }
    none = np.empty((N, 0), np.float32)
    pins = [np.arange(i * N, (i + 1) * N, dtype=np.int32) for i in range(USERS)]
    table = np.concatenate(candidates)
    stored = forest.bind(table, range(C))
    engines["ours_stored"] = lambda i: stored.score(users[i], pins[i], none)
    if forest.level == "avx512":
        narrow = Forest.from_booster(booster, S, "avx2")
        narrow_stored = narrow.bind(table, range(C))
        engines["ours_avx2"] = lambda i: narrow.margins(users[i], candidates[i])
        engines["ours_avx2_stored"] = lambda i: narrow_stored.score(users[i], pins[i], none)
    engines["ours_specialise"] = lambda i: forest.specialise(users[i])
    special = [forest.specialise(user) for user in users]
    engines["ours_bin_and_scan"] = lambda i: special[i].margins(candidates[i])
    for i in range(USERS):
        for name in [engine for engine in engines if engine not in ("ours_specialise", "ours_bin_and_scan")]:
            if name != "xgboost" and not np.array_equal(engines[name](i), want[i]):
                raise AssertionError(f"{name} differs from XGBoost")
    skipped: dict[str, str] = {}
    for name, build in PEERS.items():
        try:
            engines[name] = build(booster, x, y, trees, same)
        except Exception as error:  # a peer that does not import or convert is named and left out
            skipped[name] = f"{type(error).__name__}: {error}"[:200]
    burst = measure(engines, rounds, burst=True)
    pair = {name: engines[name] for name in ("ours", "ours_stored", "xgboost")}
    alternating = measure(pair, rounds, burst=False)
    rowwise = measure(
        {
            "ours": lambda i: forest.margins_of_rows(mixed[i]),
            "xgboost": lambda i: booster.inplace_predict(mixed[i], predict_type="margin"),
        },
        max(rounds // 2, 2),
        burst=True,
    )
    return {
        "us": {"burst": burst, "alternating": alternating, "mixed": rowwise},
        "user_split_share": round(float(np.mean(splits < S)), 3),
        "live_splits": int(np.mean([s.programs[0].n_splits for s in special])),
        "skipped": skipped,
        "floor_us": arithmetic_floor(forest, special[0], candidates[0], rounds),
        "both_cores": both_cores(forest, users, candidates),
        "end_to_end": end_to_end(forest, booster, users, rounds),
    }


def arithmetic_floor(forest: Forest, special: Any, candidates: np.ndarray, rounds: int) -> float:
    """An estimate of CPU µs if each distinct live condition were compared once and leaves looked up.

    Look-ups are measured (a scan without splits); a comparison is taken as half of a measured split.
    """
    from serving.forest_program import CHUNKS

    kernel, made = forest.kernel("request"), special.programs[0]
    assert kernel is not None
    special.margins(candidates)
    distinct = len(np.unique(made.splits[: made.n_splits, :2], axis=0))
    lookups = kernel.engines[0].new_program()
    lookups.frame[CHUNKS], lookups.sizes[:], lookups.tables[:] = made.chunks, 0, made.tables
    us = measure(
        {"all": lambda i: kernel.scan_again([made], N), "lookups": lambda i: kernel.scan_again([lookups], N)},
        rounds,
        True,
    )
    return round(us["lookups"] + (us["all"] - us["lookups"]) * distinct / max(made.n_splits, 1) / 2, 2)


def both_cores(forest: Forest, users: list[np.ndarray], candidates: list[np.ndarray]) -> dict[str, float]:
    """Requests a second of one thread and of two threads at once, unpinned, wall clock."""
    from concurrent.futures import ThreadPoolExecutor

    def work(requests: int) -> None:
        for i in range(requests):
            forest.margins(users[i % USERS], candidates[i % USERS])

    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    rates = {}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [20, 20]))
        for threads in (1, 2):
            best = 0.0
            for _ in range(5):
                before = time.perf_counter()
                list(pool.map(work, [600] * threads))
                best = max(best, 600 * threads / (time.perf_counter() - before))
            rates[f"{threads}"] = round(best, 1)
    os.sched_setaffinity(0, cores)
    return {**rates, "scaling": round(rates["2"] / rates["1"], 2)}


def end_to_end(forest: Forest, booster: xgboost.Booster, users: list[np.ndarray], rounds: int) -> dict[str, float]:
    """Pin indices to the best 500: ours; numpy gather + XGBoost + argpartition. 1M pins, 20 of 24 columns stored."""
    rng = np.random.default_rng(7)
    n_pins = 1_000_000 if rounds > 10 else 50_000
    static = rng.normal(size=(n_pins, STATIC)).astype(np.float32)
    pins = [rng.integers(0, n_pins, N).astype(np.int32) for _ in range(USERS)]
    dynamic = [rng.normal(size=(N, C - STATIC)).astype(np.float32) for _ in range(USERS)]
    bound = forest.bind(static, range(STATIC))

    def plain(i: int) -> np.ndarray:
        rows = np.empty((N, S + C), np.float32)
        rows[:, :S], rows[:, S : S + STATIC], rows[:, S + STATIC :] = users[i], static[pins[i]], dynamic[i]
        margins = booster.inplace_predict(rows, predict_type="margin")
        best = np.argpartition(-margins, TOP)[:TOP]
        return np.asarray(best[np.argsort(-margins[best], kind="stable")])

    return measure({"ours": lambda i: bound.top(users[i], pins[i], dynamic[i], TOP), "numpy": plain}, rounds, True)


def run(quick: bool = False) -> dict[str, Any]:
    """All figures as a nested dict: ratios of CPU time, cores for 75 million pins a second, machine and versions."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        models = {str(t): bench_model(t, 3 if quick else 25, 20_000 if quick else 100_000) for t in (100, 300)}
    finally:
        os.sched_setaffinity(0, before)
    ratio: dict[str, Any] = {"xgboost": {}}
    floats: dict[str, Any] = {"xgboost": {}}
    for trees, model in models.items():
        burst, alternating, mixed = (model["us"][mode] for mode in ("burst", "alternating", "mixed"))
        for to, ours, narrow in ((ratio, "ours_stored", "ours_avx2_stored"), (floats, "ours", "ours_avx2")):
            found = {
                "burst": burst["xgboost"] / burst[ours],
                "alternating": alternating["xgboost"] / alternating[ours],
                "mixed": mixed["xgboost"] / mixed["ours"],
            }
            if narrow in burst:
                found["avx2"] = burst["xgboost"] / burst[narrow]
            for mode, value in found.items():
                to["xgboost"].setdefault(mode, {})[trees] = round(value, 2)
            for peer in set(PEERS) & set(burst):
                to.setdefault(peer, {})[trees] = round(burst[peer] / burst[ours], 2)
    ends = models["100"]["end_to_end"]
    ratio["end_to_end"] = round(ends["numpy"] / ends["ours"], 2)
    cores = {trees: round(GOAL / N * m["us"]["burst"]["ours_stored"] / 1e6, 2) for trees, m in models.items()}
    cores["end_to_end"] = round(GOAL / N * ends["ours"] / 1e6, 2)
    return {"ratio": ratio, "ratio_from_floats": floats, "cores_for_75m": cores, "models": models, **_where()}


def _where() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    wanted = ("xgboost", "numba", "llvmlite", "numpy", "daal4py", "catboost", "onnxruntime")
    versions = {"python": platform.python_version()}
    for name in wanted:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    machine = {"cpu": model, "cores": os.cpu_count(), "level": best_level(), "load": round(os.getloadavg()[0], 2)}
    return {"machine": machine, "versions": versions}


if __name__ == "__main__":
    found = run(quick="--quick" in sys.argv)
    print(json.dumps(found, indent=2))
    for trees_, cores_ in found["cores_for_75m"].items():
        print(f"75 million pins/s need {cores_} cores ({trees_})", file=sys.stderr)
