"""A writer of events that is killed while it acknowledges them: `kill -9` at random moments, many times, no server.

Each life is a forked process with the whole event log in it: recovery of what the life before left, four threads that
append, one that turns events into Parquet all the time. What it has acknowledged, it says through a pipe, by id.
"""

import logging
import multiprocessing
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from apps.faults.row import FaultRow
from cluster.contract.moments import MomentContract
from cluster.settings.project import DEFAULT_ACTIONS
from cluster.store.logs import LogStore
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.owned_folder import OwnedFolder
from serving.logs.user_state import UserStates

SENDERS = 4
BATCH = 5
LONGEST_LIFE = 0.4
"""Seconds after its first acknowledgement within which a life ends."""
FLUSH_SECONDS = 0.02
START_SECONDS = 60.0
NAME = "kill-writer"


def about(kills: int) -> str:
    """The fault in a sentence."""
    return f"kill -9 of a process that acknowledges events, at random moments, {kills} times"


def event_log(folder: Path) -> EventLog:
    """An event log over `folder`, as a server has it."""
    return EventLog(
        OwnedFolder(folder / "logs" / "wal"),
        LogStore(folder / "logs"),
        EventContract.of("int64", DEFAULT_ACTIONS, MomentContract(timedelta(days=90))),
        UserStates(("hide",), folder=folder / "logs" / "state" / uuid.uuid4().hex),
    )


def live(folder: Path, life: int, tell: Connection) -> None:
    """Acknowledge events until killed, and tell which."""
    logging.disable(logging.WARNING)  # of what was recovered: every time
    log = event_log(folder)
    speaking = threading.Lock()

    def send(sender: int) -> None:
        batch = 0
        while True:
            ids = [f"{life}-{sender}-{batch}-{i}" for i in range(BATCH)]
            log.append([_event(name, sender * BATCH + i) for i, name in enumerate(ids)])
            with speaking:
                tell.send(ids)
            batch += 1

    for sender in range(SENDERS):
        threading.Thread(target=send, args=(sender,), daemon=True).start()
    while True:
        time.sleep(FLUSH_SECONDS)
        log.flush()


def _event(name: str, user: int) -> dict[str, object]:
    return {
        "event_id": name,
        "user_id": user,
        "pin_id": user,
        "action": "save",
        "client": None,
        "request_id": None,
        "occurred_at": datetime.now(UTC),
    }


def kill_often(folder: Path, kills: int, told: Callable[[str], None], live: Callable[..., None] = live) -> FaultRow:
    """Start and kill `kills` lives, then read the log as training would."""
    row = FaultRow(NAME, about(kills))
    told(f"killing a writer of events {kills} times")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    rng = random.Random(0)
    acknowledged: set[str] = set()
    slowest = 0.0
    for life in range(kills):
        ear, mouth = context.Pipe(duplex=False)
        process = context.Process(target=live, args=(folder, life, mouth), daemon=True)
        began = time.monotonic()
        process.start()
        mouth.close()
        if not ear.poll(START_SECONDS):
            raise RuntimeError(f"life {life} of the writer acknowledges nothing")
        slowest = max(slowest, time.monotonic() - began)
        until = time.monotonic() + rng.uniform(0.0, LONGEST_LIFE)
        for ids in _heard(ear, until):
            acknowledged.update(ids)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        for ids in _heard(ear, float("inf")):
            acknowledged.update(ids)
        process.join()
    log = event_log(folder)
    recovered = log.health().counters
    log.close()
    table, repeated = LogStore(folder / "logs").read_events()
    stored = set(table["event_id"].to_pylist())
    row.acknowledged = row.requests = len(acknowledged)
    row.lost = len(acknowledged - stored)
    row.seconds_to_normal = round(slowest, 1)
    row.note = f"{repeated} stored twice, {recovered['quarantined']} set aside; normal: the slowest start"
    return row


def _heard(ear: Connection, until: float) -> Iterator[list[str]]:
    """What comes until a moment, or until nobody is left to speak; a message that was cut off is none."""
    with suppress(EOFError, OSError):
        while ear.poll(max(until - time.monotonic(), 0.0) if until < float("inf") else None):
            yield ear.recv()
