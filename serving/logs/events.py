"""The durable event log and what it says of each user. An event is acknowledged only when it is on disk.

Events go to a write-ahead file (fsync before the answer); now and then the file is turned into Parquet and removed.
After `kill -9` the next process finds the file and goes on. Reading removes duplicates by event id.
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.backoff import Backoff
from cluster.store.logs import LogStore
from cluster.store.quarantine import Quarantine
from serving.logs.contract import EventContract
from serving.logs.event_rows import events_table
from serving.logs.known_events import KnownEvents
from serving.logs.receipt import Receipt, Refused
from serving.logs.user_state import UserStates
from serving.logs.wal import SUFFIX, FolderLock, Row, WriteAheadFile, recover
from serving.request.ask import Id, ShownPins, UserState

log = logging.getLogger(__name__)

REMEMBERED_IDS = 1_000_000
WAITING_EVENTS = 500_000
"""Acknowledged events that may wait for Parquet in memory; beyond it the log refuses, and senders try again."""


@dataclass(eq=False)
class Sealed:
    """A write-ahead file that takes no more events, and those of its rows that are not in Parquet yet."""

    path: Path
    rows: list[Row]


@dataclass
class Health:
    """What the log went through since its start, for `/healthz` and metrics."""

    recovered: int = 0
    torn_bytes: int = 0
    flush_failures: int = 0
    last_error: str = ""


class EventLog:
    """Single writer of the event log, by a lock on its folder. Thread-safe."""

    def __init__(
        self,
        folder: str | Path,
        store: LogStore,
        contract: EventContract,
        states: UserStates,
        patience: float = 0.0,
    ):
        """Takes the folder (ConfigError when another process has it after `patience` seconds) and recovers what an
        ended process left there.
        """
        self._folder = Path(folder)
        self._store = store
        self._contract = contract
        self._states = states
        self._folder_lock = FolderLock(self._folder, patience)
        self._lock = threading.Lock()  # of what `append` changes
        self._flushing = threading.Lock()
        self._known = KnownEvents(REMEMBERED_IDS)
        self._file = WriteAheadFile(self._folder)
        self._rows: list[Row] = []  # of the present file
        self._sealed: list[Sealed] = []
        self._quarantine = Quarantine(store.root / "quarantine", "events")
        self._backoff = Backoff()
        self._health = Health()
        try:
            states.rebuild(self._stored)
            self._recover()
        except BaseException:  # a log of other ids, say: whoever comes next may have the folder
            self._folder_lock.release()
            raise

    def _stored(self) -> Iterator[pa.Table]:
        """All stored events, file by file; at their end the ids of the newest are known."""
        newest: deque[pa.Table] = deque()
        rows = 0
        for table in self._store.each_events():
            newest.append(table.select(("event_id", "user_id", "pin_id", "action")))
            rows += len(table)
            while rows - len(newest[0]) >= REMEMBERED_IDS:
                rows -= len(newest.popleft())
            yield table
        for table in newest:
            for event in table.to_pylist():
                self._known.note(event)

    def _recover(self) -> None:
        """Take over the write-ahead files of an ended process. What was torn at their end was never acknowledged."""
        for path in sorted([*self._folder.glob(f"events-*{SUFFIX}"), *self._folder.glob("events-*.jsonl")]):
            found = recover(path)
            if found.torn:
                self._health.torn_bytes += found.torn
                log.warning("%s ends in %d torn bytes: that event was never acknowledged", path.name, found.torn)
            if found.rows:
                self._health.recovered += len(found.rows)
                log.info("recovered %d events from %s", len(found.rows), path.name)
            self._note(found.rows)
            self._sealed.append(Sealed(path, found.rows))
        try:
            self.flush()
        except OSError as error:  # the events are safe where they are, and `flush` tries again
            log.warning("recovered events wait for the disk: %s", error)

    def append(self, events: Sequence[dict[str, Any]]) -> Receipt:
        """Store events durably: dicts with the fields of `serving.http.api.Event`, `occurred_at` aware.

        Raises OSError when the disk refuses or too many events wait for it: then nothing is acknowledged and the
        sender must try again.
        """
        now = datetime.now(UTC)
        refused: list[Refused] = []
        rows: list[Row] = []
        batch = KnownEvents(len(events))
        with self._lock:
            for row, event in enumerate(events):
                reason = self._contract.fault(event, now) or self._known.fault(event) or batch.fault(event)
                if reason:
                    refused.append(Refused(row, event.get("event_id"), reason))
                    continue
                if self._known.has(event) or batch.has(event):
                    continue  # a repeated delivery
                batch.note(event)
                moment = event["occurred_at"].astimezone(UTC)
                rows.append({**event, "occurred_at": moment.isoformat(), "received_at": now.isoformat()})
            if rows:
                self._store_rows(rows)
        return Receipt(len(events) - len(refused), refused)

    def _store_rows(self, rows: list[Row]) -> None:
        if self._waiting() + len(rows) > WAITING_EVENTS:
            raise OSError(f"{self._waiting()} events wait for the disk ({self._health.last_error or 'it is slow'})")
        try:
            self._file.append(rows)
        finally:
            if self._file.broken:
                self._seal()
        self._rows += rows
        self._note(rows)

    def _seal(self) -> None:
        if self._rows:
            self._sealed.append(Sealed(self._file.path, self._rows))
        self._file.close()
        self._file, self._rows = WriteAheadFile(self._folder), []

    def _note(self, rows: Sequence[Row]) -> None:
        try:
            self._states.note(rows)
            for row in rows:
                self._known.note(row)
        except (KeyError, TypeError, ValueError, OverflowError, sqlite3.Error) as error:
            if len(rows) > 1:  # the others count
                for row in rows:
                    self._note([row])
                return
            # of an older version; `flush` sets it aside
            log.warning("an event in the write-ahead file cannot be read: %s: %s", type(error).__name__, error)

    def state(self, user_id: Id | None) -> UserState:
        """What is known of the user: the last events, all that the user hid long before them, and what was shown."""
        with self._lock:
            return self._states.of(user_id)

    def note_shown(self, answers: Sequence[tuple[Id, ShownPins]]) -> None:
        """Remember what users were shown, for every process that answers them."""
        with self._lock:
            self._states.note_shown(answers)

    def flush(self, patient: bool = False) -> int:
        """Turn acknowledged events into Parquet; returns how many. Appends meanwhile go to a new file.

        Raises OSError when the disk refuses: the events stay safe, in order, for the next call. A `patient` call does
        nothing while a failed try is not long enough ago.
        """
        with self._flushing:
            if patient and self._backoff.waiting:
                return 0
            with self._lock:
                if self._rows:
                    self._seal()
                sealed = list(self._sealed)
            done = 0
            try:
                for each in sealed:
                    done += self._write(each)
                    with self._lock:
                        self._sealed.remove(each)
            except OSError as error:
                self._backoff.failed()
                self._health.flush_failures += 1
                self._health.last_error = f"{type(error).__name__}: {error}"
                raise
            self._backoff.worked()
            self._health.last_error = ""
            return done

    def _write(self, sealed: Sealed) -> int:
        table, bad = events_table(sealed.rows, self._contract.ids.kind)
        if bad:
            file = self._quarantine.add(bad)
            log.error("%d events could not be stored and lie in %s: %s", len(bad), file, bad[0].reason)
        if len(table):
            self._store.write_events(table)
        sealed.path.unlink(missing_ok=True)
        return len(table)

    def _waiting(self) -> int:
        return len(self._rows) + sum(len(each.rows) for each in self._sealed)

    def health(self) -> dict[str, Any]:
        """Counters for `/healthz`: what waits, what failed, what was recovered, what was set aside."""
        return {"waiting": self._waiting(), "quarantined": self._quarantine.rows, **vars(self._health)}

    def close(self) -> None:
        """Write what waits and let the next process have the folder. What cannot be written stays for it."""
        try:
            self.flush()
        except OSError as error:
            log.warning("events wait in %s for the next start: %s", self._folder, error)
        finally:
            self._file.close()
            self._states.close()
            self._folder_lock.release()
