"""The event log of a served application: where new events go, and the writers, of which each knows its users."""

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

from serving.deploy.remote_writer import RemoteWriter
from serving.http.users import Events
from serving.logs.checked_events import CheckedEvents
from serving.logs.contract import EventContract
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.logs.redis_reader import RedisStateReader
from serving.logs.shard import shard_of
from serving.logs.sharded_sink import ShardedSink
from serving.logs.sink import EventSink
from serving.request.ask import Id, ShownPins, UserState


class RemoteEvents(Events):
    """Checks events, has the sink store them, and asks a user's own writer about the user."""

    def __init__(
        self,
        contract: EventContract,
        writers: Sequence[RemoteWriter],
        before: EventSink | None = None,
        shared: RedisStateReader | None = None,
    ):
        """`writers` in the order of their shards. `before`, if any, takes events and passes them on.

        `shared`, if any, has what the writers of other machines know.
        """
        self._shared = shared
        self._contract = contract
        self._writers = writers
        self._log = writers[0] if len(writers) == 1 else ShardedSink(writers)
        self._before = before
        self.through_topic = before is not None

    async def append(self, events: list[dict[str, Any]]) -> Receipt:
        """Store events; returns when they are durable. Raises OSError with the reason when they are not."""
        return await (self._before or self._log).store(CheckedEvents.of(events, self._contract))

    async def at_hand(self, user_id: Id | None, seconds: float, old: bool = False) -> UserState | None:
        """What the user's writer has written on this machine, or to where all machines read.

        Of old states the shared one goes first: the writer may have left this machine long ago.
        """
        here = self._writer(user_id).at_hand(user_id, old)
        if self._shared is None or (here is not None and not old):
            return here
        return await self._shared.of(user_id, seconds, old) or here

    async def state(self, user_id: Id | None) -> UserState:
        """What a user did lately, from the user's writer."""
        return await self._writer(user_id).state(user_id)

    def shown(self, user_id: Id, answer: ShownPins) -> None:
        """Told to the user's writer with the next answers."""
        self._writer(user_id).shown(user_id, answer)

    def _writer(self, user_id: Id | None) -> RemoteWriter:
        return self._writers[0 if user_id is None else shard_of(user_id, len(self._writers))]

    async def health(self) -> LogHealth:
        """Of the log, of what is before it, and of what has users' state."""
        parts = [part for part in (self._log, self._before, self._shared) if part is not None]
        first, *others = await asyncio.gather(*(part.health() for part in parts))
        return functools.reduce(LogHealth.beside, others, first)

    async def flush(self) -> int:
        """Write stored events to Parquet."""
        return sum(await asyncio.gather(*(writer.flush() for writer in self._writers)))
