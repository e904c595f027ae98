"""The Serve shell around a writer of the event log. No decision is made here."""

import logging
import threading
import time

from cluster.settings.clients import Client
from cluster.settings.project import Project
from serving.deploy.metrics import LogMetrics
from serving.deploy.replica import Replica
from serving.logs.checked_events import CheckedEvents
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.logs.shown import shown_lately
from serving.logs.state_folder import BEAT, StatePublisher
from serving.request.ask import ShownPins, UserState

log = logging.getLogger("ray.serve")

HANDOVER = 15.0
"""Seconds that a new events replica waits for the one before it to let go of the log."""
CATCH_UP = 10.0
"""Seconds that a flush waits for a topic to be read to its end."""


class EventsReplica(Replica):
    """A writer of the durable event log, and what it knows of its users' last actions."""

    def __init__(self, project: Project, clients: dict[str, Client], writer: int = 0):
        """`writer` counts from 0 to those of the project."""
        super().__init__(project, clients)
        shard = self._process.shards[writer]
        self._publisher = publisher = StatePublisher(self._process.state_root(shard))
        self._events = self._process.event_log(HANDOVER, publisher.folder, shard)
        self._closing.callback(self._events.close)
        shown = shown_lately(self._process.logs, clients, forgotten=self._process.forgotten)
        self._events.note_shown([(user, answer) for user, answer in shown if shard.has(user)])
        publisher.publish()
        self._closing.callback(publisher.close)
        self._stop = threading.Event()
        logs = {"events": self._events.backlog}
        self._seconds = project.serving.log_flush_seconds
        thread = threading.Thread(target=self._run, name="event-log", daemon=True)
        self._closing.callback(thread.join, 10)
        self._closing.callback(self._stop.set)
        thread.start()
        self._feed = self._process.kafka_feed(self._events, shard)
        if self._feed is not None:
            self._closing.callback(self._feed.close)
            logs["kafka"] = self._feed.backlog
        self._redis = self._process.redis_writer(self._events, shard)
        if self._redis is not None:
            self._closing.callback(self._redis.close)
            logs["redis"] = self._redis.backlog
        self._pulse.add(LogMetrics(logs).look)

    def _run(self) -> None:
        due = time.monotonic() + self._seconds
        while not self._stop.wait(min(self._seconds, BEAT)):
            try:
                if self._events.forget():
                    self._publisher.point()
                if time.monotonic() >= due:
                    due = time.monotonic() + self._seconds
                    self._events.flush(patient=True)
            except Exception:
                log.exception("events could not be turned into Parquet; they stay safe in the write-ahead file")

    def store(self, checked: CheckedEvents) -> Receipt:
        """Store events; returns when they are on disk."""
        return self._events.store(checked)

    def state(self, user_id: int | str | None) -> UserState:
        """The user's last events; who was asked for is in Redis the next time."""
        if self._redis is not None and user_id is not None:
            self._redis.changed((user_id,))
        return self._events.state(user_id)

    def note_shown(self, answers: list[tuple[int | str, ShownPins]]) -> None:
        """Remember what users were shown, for every ingress."""
        self._events.note_shown(answers)

    def health(self) -> LogHealth:
        """Counters, and what is wrong with the log now."""
        health = self._events.health()
        for part in (self._feed, self._redis):
            health = health if part is None else health.beside(part.health())
        return health

    def flush(self) -> int:
        """Turn stored events into Parquet now, with what a topic has of them."""
        if self._feed is not None:
            self._feed.catch_up(CATCH_UP)
        return self._events.flush()
