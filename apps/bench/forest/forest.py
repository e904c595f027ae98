"""The forest kernel beside XGBoost, daal4py, CatBoost and onnxruntime.

One process, one pinned core, engines alternating, median CPU time of a request of 2,000 candidates that share 16 of
40 features. `ratio` takes ours with the candidates' features stored as bytes per pin: gather, specialise, scan.
`ratio_from_floats` takes ours from a float matrix that is binned in the request: where XGBoost starts, and what serving
has, as it logs the features. Batches that mix users always start there. Several cores at once: bench `forest_scaling`.
Peers: `pip install -r apps/bench/peers.txt` in an environment of your own (daal4py comes in scikit-learn-intelex); one
that is missing is named and left out.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost

from apps.bench.forest.bound import BoundForest
from apps.bench.forest.data import GOAL, STATIC, TOP, USERS, C, N, S, make_model, make_requests, where
from apps.bench.forest.peers import PEERS
from serving.forest.engine.frames import CHUNKS
from serving.forest.forest import Forest

Call = Callable[[int], Any]  # scores request i


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


class Requests:
    """A model's requests: rows that share a user and rows that do not, and the parts that our paths take."""

    def __init__(self, trees: int) -> None:
        self.same, self.mixed = make_requests(trees + 1)
        self.users = [rows[0, :S].copy() for rows in self.same]
        self.candidates = [np.ascontiguousarray(rows[:, S:]) for rows in self.same]
        self.table = np.concatenate(self.candidates)
        self.pins = [np.arange(i * N, (i + 1) * N, dtype=np.int32) for i in range(USERS)]


def our_engines(forest: Forest, requests: Requests, name: str) -> dict[str, Call]:
    """Our paths from a float matrix and from a table of stored bytes."""
    users = requests.users
    candidates = requests.candidates
    pins = requests.pins
    none = np.empty((N, 0), np.float32)
    stored = BoundForest(forest, requests.table, range(C))
    return {
        name: lambda i: forest.margins(users[i], candidates[i]),
        f"{name}_stored": lambda i: stored.score(users[i], pins[i], none),
    }


def bench_model(trees: int, rounds: int, rows: int) -> dict[str, Any]:
    """CPU µs of every engine for one model, in bursts, alternating and on mixed rows; and what else is told of it."""
    booster, x, y = make_model(trees, rows)
    booster.set_param({"nthread": 1})
    requests = Requests(trees)
    same = requests.same
    mixed = requests.mixed
    users = requests.users
    forest = Forest.from_booster(booster, S)
    forest.warm()
    assert forest.trees is not None

    # Ours and XGBoost, which must agree to the bit.
    engines: dict[str, Call] = {
        **our_engines(forest, requests, "ours"),
        "xgboost": lambda i: booster.inplace_predict(same[i], predict_type="margin"),
    }
    if forest.level == "avx512":
        engines |= our_engines(Forest.from_booster(booster, S, "avx2"), requests, "ours_avx2")
    for i in range(USERS):
        want = booster.predict(xgboost.DMatrix(same[i]), output_margin=True)
        for name, call in engines.items():
            if name != "xgboost" and not np.array_equal(call(i), want):
                raise AssertionError(f"{name} differs from XGBoost")

    # The parts of ours, and the peers.
    special = [forest.specialise(user) for user in users]
    engines["ours_specialise"] = lambda i: forest.specialise(users[i])
    engines["ours_bin_and_scan"] = lambda i: special[i].margins(requests.candidates[i])
    skipped: dict[str, str] = {}
    for name, build in PEERS.items():
        try:
            engines[name] = build(booster, x, y, trees, same)
        except Exception as error:  # a peer that does not import or convert is named and left out
            skipped[name] = f"{type(error).__name__}: {error}"[:200]

    pair = {name: engines[name] for name in ("ours", "ours_stored", "xgboost")}
    by_row: dict[str, Call] = {
        "ours": lambda i: forest.margins_of_rows(mixed[i]),
        "xgboost": lambda i: booster.inplace_predict(mixed[i], predict_type="margin"),
    }
    splits = forest.trees.feature[forest.trees.feature >= 0]
    return {
        "us": {
            "burst": measure(engines, rounds, burst=True),
            "alternating": measure(pair, rounds, burst=False),
            "mixed": measure(by_row, max(rounds // 2, 2), burst=True),
        },
        "user_split_share": round(float(np.mean(splits < S)), 3),
        "live_splits": int(np.mean([s.programs[0].n_splits for s in special])),
        "skipped": skipped,
        "floor_us": arithmetic_floor(forest, special[0], requests.candidates[0], rounds),
        "end_to_end": end_to_end(forest, booster, users, rounds),
    }


def arithmetic_floor(forest: Forest, special: Any, candidates: np.ndarray, rounds: int) -> float:
    """An estimate of CPU µs if each distinct live condition were compared once and leaves looked up.

    Look-ups are measured (a scan without splits); a comparison is taken as half of a measured split.
    """
    kernel, made = forest.kernel("request"), special.programs[0]
    assert kernel is not None
    special.margins(candidates)
    distinct = len(np.unique(made.splits[: made.n_splits, :2], axis=0))
    lookups = kernel.collapsers[0].new_program()
    lookups.frame[CHUNKS] = made.chunks
    lookups.sizes[:] = 0
    lookups.tables[:] = made.tables
    us = measure(
        {"all": lambda i: kernel.scan_again([made], N), "lookups": lambda i: kernel.scan_again([lookups], N)},
        rounds,
        True,
    )
    return round(us["lookups"] + (us["all"] - us["lookups"]) * distinct / max(made.n_splits, 1) / 2, 2)


def end_to_end(forest: Forest, booster: xgboost.Booster, users: list[np.ndarray], rounds: int) -> dict[str, float]:
    """Pin indices to the best 500: ours; numpy gather + XGBoost + argpartition. 1M pins, 20 of 24 columns stored."""
    rng = np.random.default_rng(7)
    n_pins = 1_000_000 if rounds > 10 else 50_000
    static = rng.normal(size=(n_pins, STATIC)).astype(np.float32)
    pins = [rng.integers(0, n_pins, N).astype(np.int32) for _ in range(USERS)]
    dynamic = [rng.normal(size=(N, C - STATIC)).astype(np.float32) for _ in range(USERS)]
    bound = BoundForest(forest, static, range(STATIC))

    def plain(i: int) -> np.ndarray:
        rows = np.empty((N, S + C), np.float32)
        rows[:, :S] = users[i]
        rows[:, S : S + STATIC] = static[pins[i]]
        rows[:, S + STATIC :] = dynamic[i]
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
    return {"ratio": ratio, "ratio_from_floats": floats, "cores_for_75m": cores, "models": models, **where()}


if __name__ == "__main__":
    found = run(quick="--quick" in sys.argv)
    print(json.dumps(found, indent=2))
    for trees_, cores_ in found["cores_for_75m"].items():
        print(f"75 million pins/s need {cores_} cores ({trees_})", file=sys.stderr)
