"""Requests a second at a p99 of 60 ms over HTTP, by shape of the server.

Each server is started as users start it (`pinfunnel serve`), with a serving log, on a graph of 2 million pins and 42
million edges; an open-loop load (apps/bench/serving/load.py) runs beside it on the same cores. A rate is borne when
99 % of the answers are whole and within 60 ms. Then three times the most that is answered in a second: how much is
still answered, how late, and how soon all is well again.

    python -m apps.bench.serving.serve --work FOLDER [--shapes colocated,separate] [--quick] [--json OUT]
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import httpx
import typer

from apps.bench.machine import machine, versions
from apps.bench.processes import tree_cpu, tree_memory
from apps.bench.serving.load import LoadOutcome, load
from apps.bench.serving.site import QUICK_USERS, USERS, asks, settings, site
from apps.project import open_project
from cluster.ports import free_ports
from serving.logs.impressions import log_row, rows_to_table

P99_MS = 60.0
"""What Pixie promises of its walks alone."""
STEP = 1.2
"""From one rate to the next."""
FIRST_RATE = 12.0
SHAPES = ("colocated", "separate", "colocated_python_proxy", "separate_python_proxy", "handwritten")
START_SECONDS = 300


def run(quick: bool = False, work: Path | None = None, shapes: tuple[str, ...] = SHAPES) -> dict[str, Any]:
    """Figures of every shape; `work` keeps the site between runs, as it takes minutes to make."""
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as scratch:
        folder = work or Path(scratch)
        path = site(folder, quick)
        users = QUICK_USERS if quick else USERS
        here = _in_process(path, users, 40 if quick else 300)
        found = {shape: _shape(shape, path, users, quick) for shape in shapes}
    rates = {shape: one["rate_at_p99_60ms"] for shape, one in found.items()}
    by_hand = rates.get("handwritten")
    first = next((shape for shape in shapes if shape != "handwritten"), shapes[0])
    return {
        "rate_at_p99_60ms": rates,
        "p50_ms": {shape: one["p50_ms"] for shape, one in found.items()},
        **here,
        "ratio": {"handwritten": round(rates[first] / by_hand, 2) if by_hand else None},  # None: it bears no such rate
        "overload": found[first]["overload"],
        "shapes": found,
        "machine": machine(),
        "versions": versions("ray", "torch", "xgboost-cpu", "numba", "fastapi", "uvicorn"),
    }


def _in_process(path: Path, users: int, count: int) -> dict[str, float]:
    """CPU milliseconds of a request, and of its log, without a server."""
    import torch

    torch.set_num_threads(1)
    process = open_project(path).new_process()
    process.watcher().poll()
    spent, logged = [], []
    rows = []
    for at, ask in enumerate(asks(users, count + 20)):
        began = time.process_time()
        answer = process.funnel.recommend_now(ask)
        if at >= 20:
            spent.append(time.process_time() - began)
            rows.append(log_row(answer, str(at), process.features.schema_hash, "", None))
    for start in range(0, len(rows), 20):
        some = rows[start : start + 20]
        began = time.process_time()
        process.logs.write_serving(rows_to_table(some, process.project.ids, process.features))
        logged.append((time.process_time() - began) / len(some))
    return {"in_process_ms": round(1e3 * median(spent), 2), "log_ms": round(1e3 * median(logged), 2)}


def _shape(shape: str, path: Path, users: int, quick: bool) -> dict[str, Any]:
    with served(shape, path) as (url, pid):
        for seed in range(2):  # every replica compiles and fills its caches
            load(url, 5, 2 if quick else 8, users, seed=seed)
        seconds = 3.0 if quick else 15.0
        steps: list[dict[str, Any]] = []
        best = None
        rate = FIRST_RATE
        while True:
            cpu = tree_cpu(pid)
            outcome = load(url, round(rate, 1), seconds, users)
            steps.append({**asdict(outcome), "server_cpu_ms": _per_request(tree_cpu(pid) - cpu, outcome)})
            if not _borne(outcome):
                break
            best = outcome
            rate *= STEP
        overload = _overload(url, pid, best or outcome, users, quick) if shape != "handwritten" else None
    first = steps[0]
    return {
        "rate_at_p99_60ms": best.rate if best else 0.0,
        "p50_ms": first["p50_ms"],
        "server_cpu_ms": first["server_cpu_ms"],
        "steps": steps,
        "overload": overload,
    }


def _per_request(seconds: float, outcome: LoadOutcome) -> float:
    return round(1e3 * seconds / max(outcome.rate * outcome.seconds, 1), 2)


def _borne(outcome: LoadOutcome) -> bool:
    whole = outcome.answered - outcome.degraded
    enough = whole >= 0.99 * int(outcome.rate * outcome.seconds)
    return enough and outcome.p99_ms is not None and outcome.p99_ms <= P99_MS


def _overload(url: str, pid: int, borne: LoadOutcome, users: int, quick: bool) -> dict[str, Any]:
    """Three times the most that is answered in a second, and how long until a low rate is answered as before."""
    full = load(url, 2.5 * borne.rate, 3.0 if quick else 15.0, users, seed=6)
    peak = (full.answered - full.degraded) / full.seconds
    memory = tree_memory(pid)
    outcome = load(url, round(3 * peak, 1), 5.0 if quick else 60.0, users, seed=7)
    grown = tree_memory(pid) - memory
    began, low = time.perf_counter(), max(0.3 * borne.rate, 3.0)
    while time.perf_counter() - began < 60 and not _borne(load(url, low, 1.0, users, seed=8)):
        pass
    return {
        "peak_rate": round(peak, 1),
        "goodput_share": round((outcome.answered - outcome.degraded) / outcome.seconds / max(peak, 1e-9), 3),
        "p99_ms": outcome.p99_ms,
        "seconds_to_normal": round(time.perf_counter() - began - 1.0, 1),
        "memory_grown_mb": round(grown / 2**20, 1),
        **{"sent": asdict(outcome)},
    }


@contextmanager
def served(shape: str, path: Path) -> Iterator[tuple[str, int]]:
    """The server's URL and process."""
    [port] = free_ports(1)
    env = dict(os.environ)
    if shape == "handwritten":
        command = [sys.executable, "-P", "-m", "apps.bench.serving.handwritten", str(path), "--port", str(port)]
    else:
        settings(path, shape=shape.removesuffix("_python_proxy"))
        proxy = "0" if shape.endswith("_python_proxy") else "1"
        env |= {"RAY_SERVE_ENABLE_HA_PROXY": proxy, "RAY_SERVE_THROUGHPUT_OPTIMIZED": proxy}
        command = [sys.executable, "-P", "-m", "pinfunnel", "serve", "--project", str(path), "--port", str(port)]
    with (path.parent / f"{shape}.log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process)
            yield url, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}; its log lies beside the project")
        try:
            if httpx.get(f"{url}/readyz", timeout=5).json()["status"] == "ok":  # also of stages that still compile
                return
        except (httpx.HTTPError, ValueError):
            pass
        time.sleep(0.5)
    raise RuntimeError(f"no server at {url} after {START_SECONDS} s")


def main(
    quick: bool = False,
    work: Annotated[Path | None, typer.Option(help="keeps the site between runs")] = None,
    shapes: Annotated[str, typer.Option(help="of " + ", ".join(SHAPES))] = ",".join(SHAPES),
    out: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure and print, as JSON."""
    found = run(quick, work, tuple(shapes.split(",")))
    text = json.dumps(found, indent=1)
    print(text)
    if out is not None:
        out.write_text(text)


if __name__ == "__main__":
    typer.run(main)
