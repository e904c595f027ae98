"""One writer of the event log behind a Serve handle, and what this machine knows of its users without asking."""

import asyncio

from ray.exceptions import RayTaskError
from ray.serve.handle import DeploymentHandle

from cluster.backoff import Backoff
from serving.logs.checked_events import CheckedEvents
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.logs.sink import EventSink
from serving.logs.state_folder import StateReader
from serving.request.ask import Id, ShownPins, UserState

SEND_SECONDS = 0.25
"""Answers are told to the event log together, so often."""
MOST_ANSWERS = 20_000
"""Answers that wait to be told; beyond, the oldest are forgotten, and may be shown once more than they should."""


class NotAskedError(Exception):
    """The event log has not answered lately, so it is left alone for a moment."""


class RemoteWriter(EventSink):
    """A call costs milliseconds of two processes, so what the deployment writes on this machine is read instead."""

    def __init__(self, writer: DeploymentHandle, reader: StateReader):
        self._writer = writer.options(_by_reference=False)
        self._reader = reader
        self._backoff = Backoff()
        self._shown: list[tuple[Id, ShownPins]] = []
        self._sending: asyncio.Task[None] | None = None

    async def store(self, checked: CheckedEvents) -> Receipt:
        """On disk when it returns. Raises OSError with the reason when the log refuses."""
        try:
            return await self._writer.store.remote(checked)
        except RayTaskError as error:
            raise OSError(str(error.cause)) from error

    def at_hand(self, user_id: Id | None, old: bool = False) -> UserState | None:
        """What the deployment has written on this machine."""
        return self._reader.of(user_id, stale=old)

    async def state(self, user_id: Id | None) -> UserState:
        """What a user did lately. Raises NotAskedError while the last failure is not long enough ago."""
        if self._backoff.waiting:
            raise NotAskedError
        try:
            found: UserState = await self._writer.state.remote(user_id)
        except BaseException:  # also when nobody waits for it any more
            self._backoff.failed()
            raise
        self._backoff.worked()
        return found

    def shown(self, user_id: Id, answer: ShownPins) -> None:
        """Told to the deployment with the next answers."""
        self._shown.append((user_id, answer))
        del self._shown[:-MOST_ANSWERS]
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._shown:
            await asyncio.sleep(SEND_SECONDS)
            some, self._shown = self._shown, []
            try:
                await self._writer.note_shown.remote(some)
            except Exception:
                self._shown = [*some, *self._shown][-MOST_ANSWERS:]

    async def health(self) -> LogHealth:
        """Of the deployment's log."""
        return await self._writer.health.remote()

    async def flush(self) -> int:
        """Write stored events to Parquet."""
        return await self._writer.flush.remote()

    def close(self) -> None:
        """Nothing of it is here: the deployment closes its log itself."""
