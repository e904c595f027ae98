"""Events made durable on one core, in batches of 100, with and without their JSON.

Everything that a served event costs its process is in it: checks, write-ahead file with real syncs, users' state in
SQLite, Parquet every two seconds. Beside it, what the disk can do: syncs of as many bytes a second.

    pinfunnel bench events [--quick] [--json OUT]
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.machine import machine, versions
from cluster.contract.moments import MomentContract
from cluster.settings.project import DEFAULT_ACTIONS
from cluster.store.logs import LogStore
from serving.http.api import EventBatch
from serving.http.event_batches import read_events
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.owned_folder import OwnedFolder
from serving.logs.user_state import UserStates

BATCH = 100
USERS = 20_000
PINS = 1_000_000
FLUSH_SECONDS = 2.0
SENDERS = (1, 8)


def run(quick: bool = False) -> dict[str, Any]:
    """Events a second, by wall clock and of the processor, by what is measured and how many send at once."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    events = 2_000 if quick else 100_000
    try:
        with tempfile.TemporaryDirectory(prefix="bench-events-") as scratch:
            rates: dict[str, Any] = {"log": {}, "with_json": {}}
            for senders in SENDERS:
                for what in rates:
                    rates[what][senders] = _measured(Path(scratch) / f"{what}-{senders}", what, senders, events)
            disk = _syncs(Path(scratch) / "syncs", 50 if quick else 2_000)
    finally:
        os.sched_setaffinity(0, before)
    return {
        "events_per_second": _figures(rates, "per_second"),
        "events_per_cpu_second": _figures(rates, "per_cpu_second"),
        "batches_per_sync": _figures(rates, "batches_per_sync"),
        "disk_syncs_per_second": disk,
        "events": events,
        "batch": BATCH,
        "machine": machine(),
        "versions": versions("pyarrow", "pydantic"),
    }


def _figures(rates: dict[str, Any], name: str) -> dict[str, Any]:
    return {what: {str(senders): one[name] for senders, one in by.items()} for what, by in rates.items()}


def _bodies(events: int, seed: int) -> list[bytes]:
    """Requests as senders write them."""
    rng = np.random.default_rng(seed)
    now = datetime.now(UTC)
    bodies = []
    for first in range(0, events, BATCH):
        users, pins = rng.integers(USERS, size=BATCH).tolist(), rng.integers(PINS, size=BATCH).tolist()
        rows = [
            {
                "event_id": f"{seed:04x}-{first + i:012x}-{user:08x}",
                "user_id": user,
                "pin_id": pin,
                "action": DEFAULT_ACTIONS[pin % len(DEFAULT_ACTIONS)],
                "client": "homefeed",
                "request_id": f"{pin:032x}",
                "occurred_at": (now - timedelta(seconds=i)).isoformat(),
            }
            for i, (user, pin) in enumerate(zip(users, pins, strict=True))
        ]
        bodies.append(json.dumps({"events": rows}).encode())
    return bodies


def _measured(folder: Path, what: str, senders: int, events: int) -> dict[str, float]:
    """Events a second of `senders` threads that each send their next batch once the one before is acknowledged."""
    bodies = _bodies(events, senders)
    log = EventLog(
        OwnedFolder(folder / "logs" / "wal"),
        LogStore(folder / "logs"),
        EventContract.of("int64", DEFAULT_ACTIONS, MomentContract(timedelta(days=90))),
        UserStates(("hide",), folder=folder / "logs" / "state"),
    )
    read = [_read(body) for body in bodies] if what == "log" else []

    def append(at: int) -> None:
        batch = read[at] if read else _read(bodies[at])
        receipt = log.append(batch)
        assert receipt.accepted == len(batch), receipt.refused[:1]

    stop = threading.Event()
    flusher = threading.Thread(target=_flush, args=(log, stop))
    with _CountedSyncs() as syncs:
        flusher.start()
        wall, cpu = time.perf_counter(), time.process_time()
        threads = [
            threading.Thread(target=_send, args=(append, range(i, len(bodies), senders))) for i in range(senders)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        acknowledged = time.perf_counter() - wall
        stop.set()
        flusher.join()
        log.close()
        cpu = time.process_time() - cpu
    table, repeated = LogStore(folder / "logs").read_events()
    assert (len(table), repeated) == (events, 0)
    return {
        "per_second": round(events / acknowledged),
        "per_cpu_second": round(events / cpu),
        "batches_per_sync": round(len(bodies) / syncs.count, 2),
    }


def _read(body: bytes) -> list[dict[str, Any]]:
    return [event for _, event in read_events(EventBatch.model_validate_json(body).events)[0]]


def _send(append: Callable[[int], None], batches: range) -> None:
    for at in batches:
        append(at)


def _flush(log: EventLog, stop: threading.Event) -> None:
    while not stop.wait(FLUSH_SECONDS):
        log.flush()


class _CountedSyncs:
    """How often the write-ahead file was synced."""

    def __enter__(self) -> "_CountedSyncs":
        self.count = 0
        self._real = os.fdatasync
        os.fdatasync = self._sync
        return self

    def _sync(self, fd: Any) -> None:
        self.count += 1
        self._real(fd)

    def __exit__(self, *_: object) -> None:
        os.fdatasync = self._real


def _syncs(path: Path, times: int) -> int:
    """Appends of a batch's bytes, each synced, a second."""
    data = bytes(len(_bodies(BATCH, 0)[0]))
    with path.open("wb", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(times):
            file.write(data)
            os.fdatasync(file.fileno())
        return round(times / (time.perf_counter() - start))
