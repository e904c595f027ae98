"""Actions of users out of the event log: the newest of each, in sorted columns that processes share by a mapped file.

A user is a range of rows. Knows nothing of Ray, HTTP and of where the log lies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.graph.ids import IdMap
from serving.request.ask import Id, Recents

COLUMNS = ("user_id", "pin_id", "action", "client", "occurred_at")
ROWS_AT_ONCE = 4_000_000
"""Rows that are held before they are cut down to the newest of each user."""


@dataclass(frozen=True)
class Action:
    """One thing that a user did."""

    occurred_at: int  # microseconds since 1970 UTC
    pin_id: Id
    action: str
    client: str


class NewestRows:
    """The newest `most` rows of every user out of a stream of tables; among equal times the later row is the newer."""

    def __init__(self, most: int):
        self._most = most
        self._tables: list[pa.Table] = []
        self._rows = 0

    def feed(self, table: pa.Table) -> None:
        """Take rows with COLUMNS, in the order they were written."""
        self._tables.append(table.select(COLUMNS))
        self._rows += len(table)
        if self._rows > ROWS_AT_ONCE:
            self._tables = [self._newest()]
            self._rows = len(self._tables[0])

    def finish(self) -> "ActionTable":
        """The rows kept, as a table to look users up in."""
        return ActionTable(self._newest() if self._tables else None)

    def _newest(self) -> pa.Table:
        """Oldest first within a user, so that a second pass keeps the order of equal times."""
        table = pa.concat_tables(self._tables).combine_chunks()
        table = table.append_column("row", pa.array(np.arange(len(table))))
        table = table.sort_by([("user_id", "ascending"), ("occurred_at", "ascending"), ("row", "ascending")])
        starts = _starts(table["user_id"])
        sizes = np.diff(np.append(starts, len(table)))
        from_end = np.repeat(np.append(starts, len(table))[1:], sizes) - np.arange(len(table))
        return table.filter(pa.array(from_end <= self._most)).drop_columns(["row"])


class ActionTable:
    """Rows sorted by user, oldest first, looked up by user id."""

    def __init__(self, table: pa.Table | None):
        self._table = table if table is not None and len(table) else None
        if self._table is not None:
            starts = _starts(self._table["user_id"])
            self._bounds = np.append(starts, len(self._table))
            self._users = IdMap.from_ids(self._table["user_id"].combine_chunks().take(pa.array(starts)))

    @classmethod
    def open(cls, path: Path) -> "ActionTable":
        """Maps the file of `save`."""
        with pa.memory_map(str(path)) as file:
            return cls(pa.ipc.open_file(file).read_all())

    def save(self, path: Path) -> None:
        """Writes what `open` maps."""
        table = pa.table({name: pa.array([], pa.null()) for name in COLUMNS}) if self._table is None else self._table
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table.combine_chunks())

    def users(self) -> list[Id]:
        """All of whom there is something."""
        return [] if self._table is None else self._users.ids_of(np.arange(len(self._users))).tolist()

    def without(self, before: Mapping[Id, int]) -> "ActionTable":
        """Of these users only what is not older than their moment (microseconds)."""
        if self._table is None:
            return self
        index = self._users.index_of(list(before))
        oldest = np.full(len(self._users), np.iinfo(np.int64).min)
        oldest[index[index >= 0]] = np.array(list(before.values()), np.int64)[index >= 0]
        moments = self._table["occurred_at"].cast(pa.int64()).to_numpy()
        return ActionTable(self._table.filter(pa.array(moments >= np.repeat(oldest, np.diff(self._bounds)))))

    def of(self, user: Id) -> list[Action]:
        """The user's actions, newest first."""
        if self._table is None:
            return []
        index = int(self._users.index_of([user])[0])
        if index < 0:
            return []
        start, end = int(self._bounds[index]), int(self._bounds[index + 1])
        rows = self._table.slice(start, end - start)
        moments = rows["occurred_at"].cast(pa.int64()).to_pylist()
        clients = [client or "" for client in rows["client"].to_pylist()]
        columns = zip(moments, rows["pin_id"].to_pylist(), rows["action"].to_pylist(), clients, strict=True)
        return [Action(*values) for values in columns][::-1]


def as_recents(rows: Sequence[Action]) -> Recents:
    """Actions as the arrays that travel between stages."""
    if not rows:
        return Recents.none()
    return Recents(
        np.array([row.pin_id for row in rows], object),
        np.array([row.action for row in rows], object),
        np.array([row.client for row in rows], object),
        np.array([row.occurred_at for row in rows], np.int64),
    )


def _starts(ordered: pa.ChunkedArray) -> np.ndarray:
    """First row of each run of equal values in a sorted column, int64."""
    if not len(ordered):
        return np.empty(0, np.int64)
    column = ordered.combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    new = np.asarray(pc.not_equal(column[1:], column[:-1]))
    return np.concatenate([[0], np.flatnonzero(new) + 1]).astype(np.int64)
