"""Event logs of several writers in one process, as a server has them in several: opened, killed, asked."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cluster.contract.moments import MomentContract
from cluster.settings.project import DEFAULT_ACTIONS
from cluster.store.logs import LogStore
from serving.logs.checked_events import CheckedEvents
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.log_sink import LogSink
from serving.logs.receipt import Receipt
from serving.logs.shard import Shard, shard_of, shards_of
from serving.logs.sharded_sink import ShardedSink
from serving.logs.user_state import UserStates
from serving.logs.writer_folder import WriterFolder
from serving.request.ask import UserState

CONTRACT = EventContract.of("int64", DEFAULT_ACTIONS, MomentContract(timedelta(days=90), True))


class Writers:
    """All writers of a home's event log. As a context manager it lets go of their files at the end, as kill -9 does."""

    def __init__(self, home: Path, number: int):
        """Raises ConfigError when others have the log."""
        self.home = home
        self.store = LogStore(home / "logs")
        self.logs: list[EventLog] = []
        try:
            for shard in shards_of(number):
                self.logs.append(self._open(shard))
        except BaseException:
            self.kill()
            raise

    def _open(self, shard: Shard) -> EventLog:
        folder = WriterFolder(self.store, shard, self.home, "int64", 0.0)
        return EventLog(folder, self.store, CONTRACT, UserStates(("hide",)), shard)

    def restart(self, index: int) -> None:
        """Bring a writer back that was killed."""
        self.logs[index] = self._open(Shard(index, len(self.logs)))

    @property
    def sink(self) -> ShardedSink:
        return ShardedSink([LogSink(log) for log in self.logs])

    def send(self, events: Sequence[dict[str, Any]]) -> Receipt:
        return asyncio.run(self.sink.store(CheckedEvents.of(events, CONTRACT)))

    def state(self, user: int) -> UserState:
        return self.logs[shard_of(user, len(self.logs))].state(user)

    def flush(self) -> int:
        return sum(log.flush() for log in self.logs)

    def kill(self, *which: int) -> None:
        """End some writers, or all, as kill -9 does: their files stay, and the kernel lets go of their locks."""
        for index in which or range(len(self.logs)):
            self.logs[index]._waiting.close()
            self.logs[index]._states.close()
            self.logs[index]._folder.release()

    def stored(self) -> list[str]:
        """Ids of what is in Parquet, with those that are there twice."""
        return sorted(name for table in self.store.each_events() for name in table["event_id"].to_pylist())

    def __enter__(self) -> "Writers":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
