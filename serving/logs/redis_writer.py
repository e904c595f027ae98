"""Writes users' state to Redis right behind the event log, from a thread of its own: no event ever waits for it.

Nothing there is the only copy of anything, so what may be missing there is never searched for: it gets a new tag, by
which all that was written before is old. Whoever finds nothing or something old asks this process, and who was asked
for is written again. So a server that lost everything, or has an old copy of it, is filled as users come.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable

from cluster.errors import in_short
from cluster.settings.events import RedisSettings
from serving.logs.health import Backlog, LogHealth
from serving.logs.redis_client import key_of_user, key_of_writer, writing_client
from serving.logs.shard import Shard
from serving.logs.state_bytes import pack_state
from serving.request.ask import Id, UserState

log = logging.getLogger(__name__)

BEAT = 1.0
FRESH_MS = 4000
"""A tag that was not renewed for so long says nothing of the present."""
AT_ONCE = 500
"""Users written with one round trip."""
WAITING_USERS = 200_000
"""Users that may wait for a server that is down; beyond, they are written when they are asked for."""
PATIENCE = 2.0
"""Seconds that a server may take to answer."""


class RedisStateWriter:
    """One thread that writes the users of a shard, each as often as it changed since the last time or less."""

    def __init__(
        self,
        settings: RedisSettings,
        shard: Shard,
        state: Callable[[Id], UserState],
        forgotten: Callable[[Id], int] = lambda user: 0,
    ):
        """`state` is asked for what to write; of a user who was `forgotten` and did nothing since, nothing is written.

        Starts at once, with a server or without. Raises ConfigError.
        """
        self._client = writing_client(settings, PATIENCE)
        self._settings = settings
        self._shard = shard
        self._state = state
        self._forgotten = forgotten
        self._lock = threading.Lock()  # of _changed
        self._changed: dict[Id, None] = {}
        self._run_id = ""  # of the server that has what was written by the present tag
        self._tag = ""
        self._due = 0.0
        self._error = ""
        self._failures = 0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-state", daemon=True)
        self._thread.start()

    def changed(self, users: Iterable[Id]) -> None:
        """There is something new of these users, or somebody has asked for them. Returns at once."""
        with self._lock:
            self._changed.update(dict.fromkeys(users))
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(BEAT)
            self._wake.clear()
            try:
                self._round()
                self._error = ""
            except Exception as error:  # a server that is away, or a state that cannot be read: both are tried again
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        """What was sent may be there, now or later: with the tag it has, it counts no more."""
        self._run_id = ""
        self._due = 0.0
        self._failures += 1
        with self._lock:
            self._changed = dict.fromkeys(list(self._changed)[:WAITING_USERS])
        self._error = in_short(error)
        log.warning("users' state is not written to Redis: %s", self._error)
        self._stop.wait(BEAT)

    def _round(self) -> None:
        """Everything that has changed, and now and then the word that this is everything."""
        due = time.monotonic() >= self._due
        if due:
            self._follow_restarts()
        with self._lock:
            users, self._changed = list(self._changed), {}
        try:
            for start in range(0, len(users), AT_ONCE):
                self._write(users[start : start + AT_ONCE])
        except BaseException:
            with self._lock:
                self._changed = dict.fromkeys([*users, *self._changed])
            raise
        if due:
            self._client.set(key_of_writer(self._settings, self._shard), self._tag, px=FRESH_MS)
            self._due = time.monotonic() + BEAT

    def _follow_restarts(self) -> None:
        """A server that was started anew has nothing, or what it had at some time."""
        run_id = self._client.info("server")["run_id"]
        if run_id != self._run_id:
            self._run_id = run_id
            self._tag = uuid.uuid4().hex

    def _write(self, users: list[Id]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for user in users:
            state = self._state(user)
            if not state.known and self._forgotten(user):
                pipeline.delete(key_of_user(self._settings, user))
                continue
            value = pack_state(state, self._tag)
            pipeline.set(key_of_user(self._settings, user), value, ex=round(self._settings.keep_hours * 3600))
        pipeline.execute()

    def health(self) -> LogHealth:
        """Users that wait to be written, and why."""
        problem = f"users' state is not written to Redis: {self._error}"
        counters = {"redis_waiting": len(self._changed), "redis_write_failures": self._failures}
        return LogHealth(counters, (problem,) if self._error else ())

    def backlog(self) -> Backlog:
        """Users that are not written."""
        return Backlog(len(self._changed), len(self.health().problems))

    def close(self) -> None:
        """Its tag expires; whoever comes next has another."""
        self._stop.set()
        self._wake.set()
        self._thread.join(2 * PATIENCE)
        self._client.close()
