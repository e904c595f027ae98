"""Memory of the process that plans a training run, by the number of logged requests.

Logs of the real schema with one narrow candidate a request and an event for one request in ten, so that what grows is
the number of requests. A fresh process joins each log and splits it by time, as `pinfunnel train` does before it reads
a candidate.

    python -m apps.bench.learning.driver_memory [--quick] [--sizes 100000 1000000 10000000]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apps.bench.machine import machine
from cluster import session
from cluster.data.schema import event_schema, serving_schema
from cluster.features.assemble import FeatureSet
from cluster.processes import below
from cluster.settings.project import DataSettings, Project, Source
from cluster.store.logs import LogStore
from training.log.requests import join_logs
from training.log.windows import windows_of

CLIENTS = ("homefeed", "search")
DAYS = 10
START = datetime(2026, 1, 1, tzinfo=UTC)
FILE_REQUESTS = 50_000
EVENT_EVERY = 10
ID_CHARACTERS = 32
MIB = 2**20


def project_of(folder: Path) -> Project:
    """A project with its logs below `folder`, which needs no inputs."""
    return Project(home=str(folder), data=DataSettings(edges=Source(path=str(folder / "edges"))))


def write_log(folder: Path, requests: int) -> None:
    """About so many requests, the same number for each client and day."""
    project = project_of(folder)
    features, logs = FeatureSet.of(project.features), LogStore(folder / "logs")
    rng = np.random.default_rng(requests)
    each = requests // (len(CLIENTS) * DAYS)
    for day in range(DAYS):
        for client in CLIENTS:
            for first in range(0, each, FILE_REQUESTS):
                served = _served(project, features, client, day, min(FILE_REQUESTS, each - first), rng)
                logs.write_serving(served, features)
                logs.write_events(_events(project, served))


def _served(
    project: Project, features: FeatureSet, client: str, day: int, rows: int, rng: np.random.Generator
) -> pa.Table:
    text = rng.bytes(rows * ID_CHARACTERS // 2).hex().encode()
    offsets = pa.py_buffer(np.arange(0, len(text) + 1, ID_CHARACTERS, dtype=np.int32))
    midnight = int((START + timedelta(days=day)).timestamp() * 1e6)
    known = {
        "request_id": pa.StringArray.from_buffers(rows, offsets, pa.py_buffer(text)),
        "client": pa.repeat(client, rows),
        "user_id": pa.array(rng.integers(1, 1000, rows)),
        "requested_at": pa.array(midnight + np.sort(rng.integers(0, 86_400_000_000, rows))),
        "schema_hash": pa.repeat(features.schema_hash, rows),
        "stage": _lists(np.full(rows, 2, np.int8)),
        "pin_id": _lists(rng.integers(1, 1000, rows)),
    }
    schema = serving_schema(project.ids)
    columns = [known[f.name].cast(f.type) if f.name in known else pa.nulls(rows, f.type) for f in schema]
    return pa.table(columns, schema=schema)


def _lists(values: np.ndarray) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1, dtype=np.int32)), pa.array(values))


def _events(project: Project, served: pa.Table) -> pa.Table:
    some = served.take(pa.array(np.arange(0, len(served), EVENT_EVERY)))
    known = {
        "user_id": some["user_id"],
        "pin_id": some["pin_id"].combine_chunks().flatten(),
        "action": pa.repeat(project.actions[0], len(some)),
        "occurred_at": some["requested_at"],
        "event_id": some["request_id"],
        "request_id": some["request_id"],
        "client": some["client"],
        "received_at": some["requested_at"],
    }
    schema = event_schema(project.ids)
    return pa.table([known[f.name] for f in schema], schema=schema)


def measure(folder: Path) -> dict[str, Any]:
    """Seconds of the join and the split, peak memory here and in Ray's largest worker, and what Ray wrote to disk."""
    project = project_of(folder)
    with session.session(dashboard=False):
        before = _peak(os.getpid())
        began = time.perf_counter()
        joined = join_logs(project, LogStore(folder / "logs"), CLIENTS)
        train, held = windows_of(joined, CLIENTS, 0.2)
        seconds = time.perf_counter() - began
        workers = [_peak(pid) for pid in below(os.getpid()) if _is_worker(pid)]
        peak = _peak(os.getpid())
        spilled = _spilled()
    return {
        "seconds": round(seconds, 2),
        "driver_mb": round(peak / MIB),
        "driver_growth_mb": round((peak - before) / MIB, 1),
        "worker_mb": round(max(workers, default=0) / MIB),
        "spilled_mb": round(spilled / MIB),
        "cut": {name: str(window.until) for name, window in train.items()},
        "held": len(held),
        "events": None if joined.counts is None else joined.counts.used,
    }


def _peak(pid: int) -> int:
    """Largest resident bytes that a process ever had; 0 when it is gone."""
    try:
        status = (Path("/proc") / str(pid) / "status").read_text()
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _spilled() -> int:
    """Bytes that the object store of this Ray has moved to disk since it started, as `ray memory` tells them."""
    import ray
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    if not ray.is_initialized():
        return 0
    told = get_memory_info_reply(get_state_from_address(ray.get_runtime_context().gcs_address))
    return int(told.store_stats.spilled_bytes_total)


def _is_worker(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().startswith(b"ray::")
    except OSError:
        return False


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The p of value ~ size^p by least squares of the logarithms; values below 1 count as 1."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1.0)), 1)[0])


def run(quick: bool = False, sizes: Sequence[int] = (100_000, 1_000_000, 10_000_000)) -> dict[str, Any]:
    """Peak memory and seconds by number of logged requests, with fitted exponents."""
    sizes = (2_000, 20_000) if quick else sizes
    out: dict[str, Any] = {"machine": machine(), "sizes": {}}
    for size in sizes:
        folder = Path(tempfile.mkdtemp(prefix="driver-memory-"))
        try:
            write_log(folder, size)
            told = subprocess.run(
                [sys.executable, "-P", "-m", "apps.bench.learning.driver_memory", "--measure", str(folder)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            out["sizes"][size] = json.loads(told.stdout.splitlines()[-1])
            print(
                size, told.stdout.splitlines()[-1], file=sys.stderr, flush=True
            )  # hours of figures outlive the last one
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    figures = list(out["sizes"].values())
    out["exponent"] = {
        name: round(exponent(sizes, [figure[name] for figure in figures]), 2)
        for name in ("driver_growth_mb", "worker_mb", "seconds")
    }
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--measure", type=Path)
    asked = parser.parse_args()
    result = measure(asked.measure) if asked.measure else run(asked.quick, asked.sizes)
    print(json.dumps(result))
