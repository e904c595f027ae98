"""The durable event log and what it says of each user. An event is acknowledged only when it is on disk.

Events go to a write-ahead file, those of all callers that wait with one sync, before the answer; now and then the file
is turned into Parquet and removed. After `kill -9` the next process finds the file and goes on. An event that comes
again by its id is stored once; reading removes what a fault in between has left twice.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cluster.backoff import Backoff
from cluster.control.forgotten import Forgotten
from cluster.errors import in_short
from cluster.store.logs import LogStore
from serving.logs.checked_events import CheckedEvents
from serving.logs.contract import EventContract
from serving.logs.forgetting import Forgetting
from serving.logs.group_commit import GroupCommit
from serving.logs.health import Backlog, EventHealth, LogHealth
from serving.logs.known_events import KnownEvents, happened
from serving.logs.owned_folder import OwnedFolder
from serving.logs.receipt import Receipt
from serving.logs.shard import WHOLE, Shard
from serving.logs.stored_events import StoredEvents
from serving.logs.user_state import UserStates
from serving.logs.waiting_events import Packed, Sealed, WaitingEvents
from serving.logs.wal import Row, left_behind, name_of, recover
from serving.request.ask import Id, ShownPins, UserState

log = logging.getLogger(__name__)

REMEMBERED_IDS = 500_000
"""Events at least, of which a repeated delivery is known at the door; an older one is left out by readers."""
WAITING_EVENTS = 500_000
"""Acknowledged events that may wait for Parquet in memory; beyond it the log refuses, and senders try again."""
ARRIVING_EVENTS = 100_000
"""Events of callers that may wait for the present sync."""


class EventLog:
    """The one writer of the events of some users, or of all, by a lock on its folder. Thread-safe."""

    def __init__(
        self,
        folder: OwnedFolder,
        store: LogStore,
        contract: EventContract,
        states: UserStates,
        shard: Shard = WHOLE,
        forgotten: Forgotten | None = None,
    ):
        """Of the shard's users, but for what is `forgotten`.

        Recovers what an ended process has left in the folder, released again if that fails.
        """
        self._folder = folder
        self._shard = shard
        self._stored = StoredEvents(store, contract.ids.kind, forgotten)
        self._forgetting = Forgetting(forgotten)
        self._contract = contract
        self._states = states
        self._states_lock = threading.Lock()
        self._flushing = threading.Lock()
        self._known = KnownEvents(REMEMBERED_IDS)
        self._waiting = WaitingEvents(folder)
        self._commits = GroupCommit(self._commit, ARRIVING_EVENTS)
        self._backoff = Backoff()
        self._health = EventHealth()
        self._changed: Callable[[Iterable[Id]], None] = lambda users: None
        try:
            states.rebuild(lambda: self._stored.each(shard, self._known, REMEMBERED_IDS))
            self._recover()
        except BaseException:  # a log of other ids, say: whoever comes next may have the folder
            folder.release()
            raise

    def _recover(self) -> None:
        """Take over the write-ahead files of an ended process. What was torn at their end was never acknowledged."""
        for path in left_behind(self._folder.path):
            found = recover(path)
            self._health.torn_bytes += found.torn
            self._health.recovered += len(found.rows)
            log.warning("recovered %d events from %s", len(found.rows), path.name)
            if found.torn:
                log.warning("%s ends in %d torn bytes: that event was never acknowledged", path.name, found.torn)
            self._waiting.take_over(path, found.rows)
            rows = self._forgetting.staying(self._stored.readable(found.rows))  # `flush` sets the others aside
            new = {row["event_id"]: row for row in rows if self._known.get(row["event_id"]) is None}
            self._note(list(new.values()), {name: happened(row) for name, row in new.items()})  # others are in Parquet
        try:
            self.flush()
        except OSError as error:  # the events are safe where they are, and `flush` tries again
            log.warning("recovered events wait for the disk: %s", error)

    def append(self, events: Sequence[dict[str, Any]]) -> Receipt:
        """Store events durably: dicts with the fields of `serving.http.api.Event`, `occurred_at` aware.

        Raises OSError when the disk refuses or too many events wait for it: then nothing is acknowledged and the
        sender must try again.
        """
        return self.store(CheckedEvents.of(events, self._contract))

    def store(self, checked: CheckedEvents) -> Receipt:
        """The same for a batch that was checked before."""
        try:
            if not self._shard.whole and not all(self._shard.has(row["user_id"]) for row in checked.rows.values()):
                raise OSError("events of another writer's users: the number of writers is changing")
            return self._commits(checked, len(checked.rows))
        except OSError as error:
            self._health.refusals += 1
            self._health.append_error = in_short(error)
            raise

    def _commit(self, group: list[CheckedEvents]) -> list[Receipt | Exception]:
        """Write the new events of several batches with one sync; called by one thread at a time."""
        outcomes: list[Receipt | Exception] = []
        batches: list[list[Row]] = []
        ids: dict[str, int] = {}
        waiting = len(self._waiting)
        orders = self._forgetting.orders()
        for checked in group:
            if waiting + len(checked.rows) > WAITING_EVENTS:
                why = self._health.last_error or "it is slow"
                outcomes.append(OSError(f"{waiting} events wait for the disk ({why})"))
                continue
            fresh, receipt = checked.new(self._known, ids)
            fresh = self._forgetting.staying(fresh)
            waiting += len(fresh)
            outcomes.append(receipt)
            if fresh:
                batches.append(fresh)
        if batches:
            self._waiting.append([Packed.of(rows) for rows in batches])
            self._note([row for rows in batches for row in rows], ids)
            self._health.append_error = ""
            self._forgetting.stored(orders)
        return outcomes

    def forget(self) -> bool:
        """Remove what is to be forgotten from memory and from this writer's files; whether there was news of it.

        Raises OSError or sqlite3.Error when the disk refuses: then it is to be called again.
        """
        if self._forgetting.forgotten is None or (orders := self._forgetting.due()) is None:
            return False
        self.flush()
        with self._states_lock:
            users = self._states.forget(self._forgetting.forgotten)
        self._changed(users)
        self._forgetting.done(orders)
        return True

    def _note(self, rows: Sequence[Row], ids: Mapping[str, int]) -> None:
        """Let repeated deliveries and the next requests know."""
        self._known.add(ids)
        try:
            with self._states_lock:
                self._states.note(rows)
            self._changed(row["user_id"] for row in rows)
            self._health.state_error = ""
        except sqlite3.Error as error:  # a full disk, say: the events are safe all the same
            self._health.state_error = in_short(error)
            log.error("%d events do not count for their users yet: %s", len(rows), self._health.state_error)

    def state(self, user_id: Id | None) -> UserState:
        """What is known of the user: the last events, all that the user hid long before them, and what was shown."""
        with self._states_lock:
            return self._states.of(user_id)

    def note_shown(self, answers: Sequence[tuple[Id, ShownPins]]) -> None:
        """Remember what users were shown, for every process that answers them."""
        answers = self._forgetting.answers(answers)
        with self._states_lock:
            self._states.note_shown(answers)
        self._changed(user for user, _ in answers)

    def tell(self, changed: Callable[[Iterable[Id]], None]) -> None:
        """`changed` is told of users whose state is new, before whoever sent it hears that it counts."""
        self._changed = changed

    def flush(self, patient: bool = False) -> int:
        """Turn acknowledged events into Parquet; returns how many. Appends meanwhile go to a new file.

        Raises OSError when the disk refuses: the events stay safe, in order, for the next call. A `patient` call does
        nothing while a failed try is not long enough ago.
        """
        with self._flushing:
            if patient and self._backoff.waiting:
                return 0
            done = 0
            if self._health.append_error:
                self._try_again()
            try:
                for each in self._waiting.sealed():
                    done += self._write(each)
            except OSError as error:
                self._backoff.failed()
                self._health.flush_failures += 1
                self._health.last_error = in_short(error)
                raise
            self._backoff.worked()
            self._health.last_error = ""
            return done

    def _try_again(self) -> None:
        """Whether events are still refused, also when nobody sends any."""
        try:
            self._waiting.append([Packed.of([])])
            self._health.append_error = ""
        except OSError as error:
            self._health.append_error = in_short(error)

    def _write(self, sealed: Sealed) -> int:
        """One write-ahead file as Parquet of its name: written again after a crash, it is still there once."""
        stored = self._stored.write(list(sealed.rows()), name_of(sealed.path))
        self._waiting.done(sealed)
        return stored

    def health(self) -> LogHealth:
        """What waits, what failed, what was recovered, what was set aside; and what is wrong now."""
        told = vars(self._health)
        waiting = len(self._waiting)
        problems = {
            "events are refused, and their senders told to send them again": self._health.append_error,
            f"{waiting} acknowledged events wait for Parquet": self._health.last_error,
            "the last events count for their users after a restart only": self._health.state_error,
        }
        return LogHealth(
            {"waiting": waiting, "quarantined": self._stored.quarantine.rows, **told},
            tuple(f"{what}: {error}" for what, error in problems.items() if error),
        )

    def backlog(self) -> Backlog:
        """Acknowledged events that are not Parquet yet."""
        waiting = self._waiting
        return Backlog(len(waiting), len(self.health().problems), waiting.bytes, waiting.oldest_seconds)

    def close(self) -> None:
        """Write what waits and let the next process have the folder. What cannot be written stays for it."""
        try:
            self.flush()
        except OSError as error:
            log.warning("events wait in %s for the next start: %s", self._folder.path, error)
        finally:
            self._waiting.close()
            self._states.close()
            self._folder.release()
