"""Fitting lightweight rankers through Ray Train beside plain `xgboost.train`.

Small: CLIENTS clients of a young log, fitted in one call, in this process (as the product does up to LOCAL_ROWS
examples) and on a Ray Train worker; figures are seconds of overhead a client. Large: one client of more than five
million rows. The peer gets its float matrix ready made and builds a QuantileDMatrix of it; ours streams the same rows
from Ray's object store. Both use one thread, the same parameters and early stopping on the same held-out rows; models
must reach the same loss. Seconds are wall clock; starting Ray is not counted, starting workers is.

    python -m apps.bench.learning.gbdt [--quick] [--only small|large] [--rounds N]
"""

import argparse
import gc
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from apps.bench.machine import machine, versions
from apps.bench.processes import tree_memory
from cluster.session import session
from cluster.settings.clients import LabelSettings
from cluster.settings.project import GbdtSettings
from training.lightweight.blocks import SCHEMA, block_of
from training.lightweight.examples import ClientExamples
from training.lightweight.fit import LOCAL_ROWS, fit_clients
from training.lightweight.jobs import Fitted, parameters
from training.lightweight.splits import TimeSplit
from training.lightweight.strategies.registry import resolve

ACTIONS, NEGATIVE = ("save", "click"), ()
FEATURES = tuple(f"f{i}" for i in range(26))
CLIENTS, SMALL_ROWS = 5, 20_000
LARGE_ROWS = 5_900_000  # of which HELD stop the boosting
BLOCK, HELD = 100_000, 0.15
REPEATS = 3
REQUEST = 50  # rows
SPLIT = TimeSplit(np.datetime64(1, "us"))

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def make_block(seed: int, rows: int) -> Rows:
    """x float32[rows, F] with a tenth missing, label and weight float32[rows]."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, len(FEATURES)), np.float32)
    signal = x[:, 0] * x[:, 1] + x[:, 2:8].sum(axis=1) / 2 + rng.standard_normal(rows, np.float32)
    x[rng.random(x.shape, np.float32) < 0.1] = np.nan
    return x, (signal > 1).astype(np.float32), rng.uniform(0.5, 2, rows).astype(np.float32)


def make_client(code: int, rows: int) -> tuple[list[pa.Table], Rows, Rows]:
    """One client's blocks as training makes them, and the same rows as arrays: those to fit, those held out."""
    tables: list[pa.Table] = []
    fit: list[Rows] = []
    held: list[Rows] = []
    for at in range(0, rows, BLOCK):
        x, label, weight = make_block(code * 1_000_003 + at, min(BLOCK, rows - at))
        cut = int(len(x) * (1 - HELD))
        tables.append(requests_block(code, (x[:cut], label[:cut], weight[:cut]), (x[cut:], label[cut:], weight[cut:])))
        fit.append((x[:cut], label[:cut], weight[:cut]))
        held.append((x[cut:], label[cut:], weight[cut:]))
    return tables, _join(fit), _join(held)


def requests_block(code: int, fit: Rows, held: Rows) -> pa.Table:
    """Both as requests of `REQUEST` rows each, the held-out ones later."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for later, (x, label, weight) in enumerate((fit, held)):
        for at in range(0, len(x), REQUEST):
            part = slice(at, at + REQUEST)
            numbers = {"client": code, "requested_at": later, "draw": 0.0, "request_weight": 1.0}
            lists = {"x": x[part].ravel(), "label": label[part], "weight": weight[part], "grade": label[part]}
            for name, value in {**numbers, **lists, "class": label[part].astype(np.int8)}.items():
                columns[name].append(value)
    return block_of(columns)


def _join(parts: list[Rows]) -> Rows:
    x, label, weight = (np.concatenate([p[i] for p in parts]) for i in range(3))
    return x, label, weight


def plain(fit: Rows, held: Rows, settings: GbdtSettings) -> tuple[float, float]:
    """Seconds and held-out loss of `xgboost.train` on arrays that stand ready."""
    import xgboost as xgb

    started = time.perf_counter()
    threads = max(1, int(settings.cpus_per_worker))
    bins = {"max_bin": settings.max_bin, "nthread": threads}
    train = xgb.QuantileDMatrix(fit[0], label=fit[1], weight=fit[2], **bins)
    valid = xgb.QuantileDMatrix(held[0], label=held[1], weight=held[2], ref=train, **bins)
    log: dict[str, Any] = {}
    xgb.train(
        parameters(settings, "binary:logistic", threads),
        train,
        settings.rounds,
        evals=[(valid, "valid")],
        evals_result=log,
        early_stopping_rounds=settings.early_stopping_rounds,
        verbose_eval=False,
    )
    return time.perf_counter() - started, min(log["valid"]["logloss"])


class Clients:
    """`count` clients of `rows` rows each, in Ray's object store and as arrays."""

    def __init__(self, count: int, rows: int) -> None:
        import ray

        rule = resolve(LabelSettings(action_weights={"save": 1.0}), ACTIONS, NEGATIVE)
        self.arrays: list[tuple[Rows, Rows]] = []
        self.examples: dict[str, ClientExamples] = {}
        for code in range(count):
            tables, fit, held = make_client(code, rows)
            positive = int(fit[1].sum())
            counts = {"train": {"action": positive, "unimpressed": len(fit[1]) - positive}}
            name = f"client{code}"
            blocks = [ray.put(table) for table in tables]
            self.examples[name] = ClientExamples(name, code, FEATURES, rule, blocks, SPLIT, counts)
            self.arrays.append((fit, held))

    def ours(self, settings: GbdtSettings, local_rows: int) -> tuple[float, dict[str, Fitted]]:
        """Seconds of one call that fits all clients, and the models."""
        started = time.perf_counter()
        fitted = fit_clients(self.examples, settings, local_rows=local_rows)
        return time.perf_counter() - started, fitted

    def plain(self, settings: GbdtSettings) -> tuple[float, list[float]]:
        """Seconds and losses of the peer, one client after the other."""
        results = [plain(fit, held, settings) for fit, held in self.arrays]
        return sum(seconds for seconds, _ in results), [loss for _, loss in results]


def compare(clients: Clients, settings: GbdtSettings, ways: dict[str, int], repeats: int) -> dict[str, Any]:
    """Medians of alternating runs: seconds of each way and of the peer, overhead a client, ratio."""
    seconds: dict[str, list[float]] = {"plain": [], **{way: [] for way in ways}}
    inside: dict[str, list[float]] = {way: [] for way in ways}
    worst = 0.0
    for _ in range(repeats):
        took, losses = clients.plain(settings)
        seconds["plain"].append(took)
        for way, local_rows in ways.items():
            took, fitted = clients.ours(settings, local_rows)
            seconds[way].append(took)
            inside[way].append(sum(f.seconds for f in fitted.values()))
            worst = max(worst, *(abs(f.loss - loss) for f, loss in zip(fitted.values(), losses, strict=True)))
    if worst > 2e-3:
        raise AssertionError(f"losses differ by {worst}: the comparison would mean nothing")
    median = {name: round(statistics.median(took), 2) for name, took in seconds.items()}
    return {
        "clients": len(clients.arrays),
        "rows_fitted": sum(len(fit[1]) for fit, _ in clients.arrays),
        "seconds": median,
        "seconds_in_fit": {way: round(statistics.median(took), 2) for way, took in inside.items()},
        "overhead_seconds": {w: round((median[w] - median["plain"]) / len(clients.arrays), 2) for w in ways},
        "ratio": {w: round(median[w] / median["plain"], 3) for w in ways},
        "largest_loss_difference": round(worst, 6),
        "repeats": repeats,
    }


def run(quick: bool = False, rounds: int | None = None, only: str | None = None) -> dict[str, Any]:
    """Figures of the small and the large case, with the highest memory of the process tree.

    `rounds` of the large case: the project's default if None, at which it takes some ten minutes; fewer rounds make
    the overhead look larger than it is.
    """
    settings = GbdtSettings()
    large = settings.model_copy(update={"rounds": rounds or (10 if quick else settings.rounds)})
    found: dict[str, Any] = {}
    with session(num_cpus=2, dashboard=False), _Peak() as peak:
        if only != "large":
            ways = {"in_process": LOCAL_ROWS, "worker": 0}
            few = Clients(2 if quick else CLIENTS, SMALL_ROWS // (8 if quick else 1))
            found["small"] = compare(few, settings, ways, REPEATS)
            del few
            gc.collect()
        if only != "small":
            big = compare(Clients(1, 60_000 if quick else LARGE_ROWS), large, {"worker": 0}, 1)
            found["large"] = {**big, "rounds": large.rounds}
    return {
        **found,
        "peak_mb": peak.mb,
        "machine": machine(),
        "versions": versions("ray", "xgboost-cpu", "numpy", "pyarrow"),
    }


class _Peak:
    """The highest memory of this process and its children while the block runs; `mb` afterwards."""

    mb = 0

    def __enter__(self) -> "_Peak":
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        measure: Callable[[int], int] = tree_memory
        while not self._done.wait(0.5):
            self.mb = max(self.mb, measure(os.getpid()) // 2**20)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--only", choices=("small", "large"), default=None)
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.quick, chosen.rounds, chosen.only), indent=2))
