"""Acknowledged events on their way into Parquet, and out of it again when a writer starts."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Literal

import pyarrow as pa

from cluster.control.forgotten import Forgotten
from cluster.control.logs import rows_that_stay, swept_behind
from cluster.store.logs import LogStore
from cluster.store.quarantine import Quarantine
from serving.logs.event_rows import events_table
from serving.logs.known_events import KnownEvents, happened
from serving.logs.shard import Shard
from serving.logs.wal import Row

log = logging.getLogger(__name__)


class StoredEvents:
    """The Parquet files of the event log, as one of its writers sees them."""

    def __init__(self, store: LogStore, ids: Literal["int64", "string"], forgotten: Forgotten | None = None):
        """What is `forgotten` is neither written nor read."""
        self._forgotten = forgotten
        self._store = store
        self._ids = ids
        self.quarantine = Quarantine(store.root / "quarantine", "events")

    def write(self, rows: Sequence[Row], name: str) -> int:
        """Rows of the write-ahead file of that name; returns how many are stored. Written again, they are there once.

        What cannot be stored is set aside. Raises OSError when the disk refuses.
        """
        with swept_behind(self._forgotten) as written:
            table, bad = events_table(rows_that_stay(list(rows), self._forgotten, "received_at"), self._ids)
            if len(table):
                written += self._store.write_events(table, name)
        if bad:
            file = self.quarantine.add(bad)
            log.error("%d events could not be stored and lie in %s: %s", len(bad), file, bad[0].reason)
        return len(table)

    def readable(self, rows: Sequence[Row]) -> list[Row]:
        """Those that `write` will store: a row of an older version may not fit."""
        _, bad = events_table(rows, self._ids)
        unreadable = {id(each.row) for each in bad}
        return [row for row in rows if id(row) not in unreadable]

    def _staying(self, table: pa.Table) -> pa.Table:
        if self._forgotten is None or not self._forgotten.changes():
            return table
        return table.filter(pa.array(self._forgotten.keeps(table["user_id"], table["received_at"])))

    def each(self, shard: Shard, known: KnownEvents, most: int) -> Iterator[pa.Table]:
        """All events of the shard's users, file by file; at their end the newest ids (`most` at least) are known."""
        newest: deque[pa.Table] = deque()
        rows = 0
        for table in map(shard.only, map(self._staying, self._store.each_events())):
            newest.append(table.select(("event_id", "user_id", "pin_id", "action")))
            rows += len(table)
            while rows - len(newest[0]) >= most:
                rows -= len(newest.popleft())
            yield table
        for table in newest:
            known.add({event["event_id"]: happened(event) for event in table.to_pylist() if event["event_id"]})
