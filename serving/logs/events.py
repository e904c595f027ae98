"""The durable event log and what it says of each user. An event is acknowledged only when it is on disk.

Events go to a write-ahead file (JSON lines, fsync before the answer); now and then the file is turned into Parquet and
removed. After `kill -9` the next process finds the file and goes on. Reading removes duplicates by event id.
"""

import json
import logging
import os
import threading
import uuid
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.data.schema import event_schema
from cluster.store.logs import LogStore
from serving.request.ask import Recents

log = logging.getLogger(__name__)

CLOCK_SKEW = timedelta(minutes=5)
REMEMBERED_IDS = 1_000_000


@dataclass(frozen=True)
class Receipt:
    """How many events are on disk, and which were refused and why."""

    accepted: int
    refused: list[dict[str, str]]


class EventLog:
    """Single writer of the event log. Thread-safe."""

    def __init__(
        self,
        folder: str | Path,
        store: LogStore,
        ids: str,
        actions: Sequence[str],
        remember: int = 64,
        check_clock: bool = True,
    ):
        self._folder, self._store, self._ids, self._actions = Path(folder), store, ids, frozenset(actions)
        self._remember, self._check_clock = remember, check_clock
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._recent: dict[int | str, deque[tuple[int, Any, str, str]]] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._path = self._folder / f"events-{uuid.uuid4().hex}.jsonl"
        self._file: Any = None
        self._pending: list[dict[str, Any]] = []
        self._recover()

    def _recover(self) -> None:
        """Turn the write-ahead files of a killed process into Parquet. A torn last line was never acknowledged."""
        for path in sorted(self._folder.glob("events-*.jsonl")):
            rows = []
            for line in path.read_bytes().split(b"\n"):
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError:
                    if line:
                        log.warning("%s ends in a torn line: that event was never acknowledged", path.name)
            for row in rows:
                self._remember_event(row)
            if rows:
                self._write(rows)
                log.info("recovered %d events from %s", len(rows), path.name)
            path.unlink()

    def append(self, events: Sequence[dict[str, Any]]) -> Receipt:
        """Store events durably: dicts with the fields of `serving.http.api.Event`, `occurred_at` aware.

        Raises OSError when the disk refuses: then nothing is acknowledged and the sender must try again.
        """
        now = datetime.now(UTC)
        refused, rows = [], []
        with self._lock:
            for event in events:
                reason = self._fault(event, now)
                if reason:
                    refused.append({"event_id": str(event["event_id"]), "reason": reason})
                    continue
                if event["event_id"] in self._known:
                    continue  # a repeated delivery: already on disk
                moment = event["occurred_at"].astimezone(UTC)
                rows.append({**event, "occurred_at": moment.isoformat(), "received_at": now.isoformat()})
            if rows:
                if self._file is None:
                    self._file = self._path.open("ab")
                self._file.write(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
                self._file.flush()
                os.fsync(self._file.fileno())
                self._pending.extend(rows)
                for row in rows:
                    self._remember_event(row)
        return Receipt(len(events) - len(refused), refused)

    def _fault(self, event: dict[str, Any], now: datetime) -> str:
        if event["action"] not in self._actions:
            return f"action: unknown action {event['action']!r}; known: {sorted(self._actions)}"
        kind = int if self._ids == "int64" else str
        for name in ("user_id", "pin_id"):
            if not isinstance(event[name], kind):
                return f"{name}: expected {self._ids}, found {event[name]!r}"
        moment = event["occurred_at"]
        if moment.tzinfo is None:
            return "occurred_at: has no time zone; send UTC, like 2026-01-31T12:00:00Z"
        if self._check_clock and moment > now + CLOCK_SKEW:
            return f"occurred_at: {moment.isoformat()} is in the future"
        return ""

    def _remember_event(self, row: dict[str, Any]) -> None:
        self._known[row["event_id"]] = None
        if len(self._known) > REMEMBERED_IDS:
            self._known.popitem(last=False)
        moment = int(datetime.fromisoformat(row["occurred_at"]).timestamp() * 1e6)
        actions = self._recent.setdefault(row["user_id"], deque(maxlen=self._remember))
        actions.append((moment, row["pin_id"], row["action"], row.get("client") or ""))

    def recent(self, user_id: int | str | None) -> Recents:
        """The user's last events, newest first."""
        with self._lock:
            rows = sorted(self._recent.get(user_id, ()), key=lambda r: -r[0]) if user_id is not None else []
        if not rows:
            return Recents.none()
        moments, pins, actions, clients = zip(*rows, strict=True)
        return Recents(
            np.array(pins, object), np.array(actions, object), np.array(clients, object), np.array(moments, np.int64)
        )

    def flush(self) -> int:
        """Turn the write-ahead file into Parquet; returns the number of events. Appends meanwhile go to a new file."""
        with self._lock:
            rows, old, handle = self._pending, self._path, self._file
            if not rows:
                return 0
            self._pending, self._file = [], None
            self._path = self._folder / f"events-{uuid.uuid4().hex}.jsonl"
        handle.close()
        self._write(rows)
        old.unlink()
        return len(rows)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        schema = event_schema(self._ids)
        moments = ("occurred_at", "received_at")
        columns = [
            pa.array([datetime.fromisoformat(r[f.name]) if f.name in moments else r.get(f.name) for r in rows], f.type)
            for f in schema
        ]
        self._store.write_events(pa.Table.from_arrays(columns, schema=schema))
