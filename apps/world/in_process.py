"""The HTTP API of a project in this process: the same endpoints and parts as a served funnel, without Ray or sockets.

For simulations that must be fast and repeatable, notebooks, and tests. Nothing waits here: no deadline, no queue.
"""

from types import TracebackType
from typing import Any

import httpx
from fastapi import FastAPI

from apps.project import Opened
from serving.http.routes import Ingress
from serving.http.users import Events
from serving.logs.events import EventLog
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.request.ask import Id, ShownPins, UserState
from serving.request.served import ServedBundles

URL = "http://in-process"
ALL_AT_ONCE = 1 << 16
"""Slots for requests: nobody waits for a turn."""


class LocalEvents(Events):
    """The event log without a deployment around it."""

    def __init__(self, log: EventLog):
        self._log = log

    async def append(self, events: list[dict[str, Any]]) -> Receipt:
        """Store events durably."""
        return self._log.append(events)

    async def at_hand(self, user_id: Id | None, seconds: float, old: bool = False) -> UserState | None:
        """What a user did lately: always at hand."""
        return self._log.state(user_id)

    def shown(self, user_id: Id, answer: ShownPins) -> None:
        """The user was shown these pins."""
        self._log.note_shown([(user_id, answer)])

    async def state(self, user_id: int | str | None) -> UserState:
        """What a user did lately."""
        return self._log.state(user_id)

    async def health(self) -> LogHealth:
        """Counters, and what is wrong with the log now."""
        return self._log.health()

    async def flush(self) -> int:
        """Write stored events to Parquet."""
        return self._log.flush()


class InProcess:
    """A project's app over its published bundles. As a context manager it writes its logs out at the end.

    `transport` goes into an `httpx.AsyncClient`, or into `Simulator`. One only may hold a project's event log, as
    its one writer, whatever `events` says.
    """

    def __init__(self, opened: Opened, events: Events | None = None):
        """Loads every published bundle. `events` replaces the project's event log. Raises BundleError."""
        process = opened.new_process()
        self._watcher = process.watcher()
        self._watcher.poll()
        self._serving_log = process.serving_log()
        self._event_log = None
        if events is None:
            self._event_log = process.event_log()
            events = LocalEvents(self._event_log)

        async def served() -> ServedBundles:
            return self._watcher.bundles()

        ingress = Ingress(
            opened.project,
            opened.clients,
            process.live_funnel,
            events,
            self._serving_log,
            process.features.schema_hash,
            served,
            unknown_pins=process.catalogs.unknown_pins,
            slots=ALL_AT_ONCE,
        )
        self.app: FastAPI = ingress.app()

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """Carries requests to the app; faults of the app come back as HTTP 500."""
        return httpx.ASGITransport(self.app, raise_app_exceptions=False)

    def swap(self) -> None:
        """Load what has been published since."""
        self._watcher.poll()

    def flush(self) -> None:
        """Write the queued logs to Parquet."""
        self._serving_log.flush()
        if self._event_log is not None:
            self._event_log.forget()
            self._event_log.flush()

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving_log.close()
        if self._event_log is not None:
            self._event_log.close()
