"""Reads users' state from Redis in one round trip, within the time that there is. What is not there is asked for."""

import asyncio
from contextlib import suppress
from typing import cast

from cluster.backoff import Backoff
from cluster.errors import in_short
from cluster.settings.events import RedisSettings
from serving.logs.health import LogHealth
from serving.logs.redis_client import key_of_user, key_of_writer, reading_client
from serving.logs.shard import Shard, shard_of
from serving.logs.state_bytes import unpack_state
from serving.request.ask import Id, UserState

PATIENCE = 0.05
"""Seconds that a server may take, also where a request has more: beyond, the writer is the quicker one to ask."""
ASK_SECONDS = 1.0
"""How long a server that failed is asked whether it is back."""


class RedisStateReader:
    """Of one process, for the users of all writers."""

    def __init__(self, settings: RedisSettings, writers: int):
        """Raises ConfigError without the client or the password; no server is asked."""
        self._client = reading_client(settings, ASK_SECONDS)
        self._settings = settings
        self._writers = writers
        self._backoff = Backoff()
        self._damaged = 0
        self._failures = 0
        self._error = ""

    async def of(self, user: Id | None, seconds: float, old: bool = False) -> UserState | None:
        """The user's state, or None where there is none as fresh as it should be; `old`: any will do."""
        if user is None or self._backoff.waiting:
            return None
        writer = Shard(shard_of(user, self._writers), self._writers)
        keys = (key_of_writer(self._settings, writer), key_of_user(self._settings, user))
        try:
            async with asyncio.timeout(min(seconds, PATIENCE)):
                tag, value = cast(list[bytes | None], await self._client.mget(keys))
        except Exception as error:
            self._failed(error)
            return None
        self._worked()
        if value is None:
            return None
        try:
            written_by, state = unpack_state(value)
        except ValueError:
            self._damaged += 1
            return None
        return state if old or (tag is not None and tag.decode() == written_by) else None

    def _failed(self, error: Exception) -> None:
        self._backoff.failed()
        self._failures += 1
        self._error = in_short(error)

    def _worked(self) -> None:
        self._backoff.worked()
        self._error = ""

    async def health(self) -> LogHealth:
        """Damaged values, and whether the server answers; after a failure it is asked whether it is back."""
        if self._error:
            with suppress(Exception):
                async with asyncio.timeout(ASK_SECONDS):
                    await self._client.ping()
                self._worked()
        problem = f"users' state is not read from Redis, their writers are asked: {self._error}"
        counters = {"redis_damaged": self._damaged, "redis_read_failures": self._failures}
        return LogHealth(counters, (problem,) if self._error else ())
