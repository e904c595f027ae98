"""What the event log says of each user: the last actions, and every hidden pin. Rebuilt from the log at start.

Two memories with bounds of their own, because what a user hid must not be forgotten for what the user clicked since:
the newest `remember` actions, and the newest `hidden` pins with a negative action. What was read at start lies in
sorted columns (a user is a range of rows); what came since, in a deque a user. Knows nothing of files, Ray or HTTP.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.graph.ids import IdMap
from serving.request.ask import Recents

Id = int | str
COLUMNS = ("user_id", "pin_id", "action", "client", "occurred_at")
ROWS_AT_ONCE = 4_000_000
"""Rows that `rebuild` holds before it cuts them down to the newest of each user."""


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


class UserStates:
    """Every user's last actions and hidden pins. Its owner (the event log) holds the lock."""

    def __init__(self, negative_actions: Iterable[str], remember: int = 64, hidden: int = 1000, users: int = 1_000_000):
        self._negative = frozenset(negative_actions)
        self._remember = remember
        self._hidden = hidden
        self._most_users = users
        self._before, self._hid_before = ActionTable(None), ActionTable(None)
        self._since: OrderedDict[Id, deque[Action]] = OrderedDict()
        self._hid_since: dict[Id, OrderedDict[Id, None]] = {}

    def rebuild(self, tables: Callable[[], Iterable[pa.Table]]) -> None:
        """Read what the log holds, table by table in the order written; nothing must have been noted yet."""
        recents, hides = NewestRows(self._remember), NewestRows(self._hidden)
        for table in tables():
            recents.feed(table)
            hides.feed(table.filter(pc.is_in(table["action"], pa.array(sorted(self._negative), pa.string()))))
        self._before, self._hid_before = recents.finish(), hides.finish()

    def note(self, event: Mapping[str, Any]) -> None:
        """Take an acknowledged event into account; `occurred_at` is its ISO text."""
        user, pin = event["user_id"], event["pin_id"]
        moment = round(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1e6)
        mine = self._since.setdefault(user, deque(maxlen=self._remember))
        mine.append(Action(moment, pin, event["action"], event.get("client") or ""))
        self._since.move_to_end(user)
        if len(self._since) > self._most_users:
            self._since.popitem(last=False)
        if event["action"] in self._negative:
            hid = self._hid_since.setdefault(user, OrderedDict())
            hid[pin] = None
            hid.move_to_end(pin)
            if len(hid) > self._hidden:
                hid.popitem(last=False)

    def recent(self, user: Id | None) -> Recents:
        """The user's last events, newest first; among equal times, what came in last."""
        if user is None:
            return Recents.none()
        rows = [*reversed(self._since.get(user, ())), *self._before.of(user)]
        rows = sorted(rows, key=lambda row: -row.occurred_at)[: self._remember]
        return as_recents(rows)

    def hidden(self, user: Id | None) -> tuple[Id, ...]:
        """The pins that the user hid, newest first, each once."""
        if user is None:
            return ()
        since = reversed(self._hid_since.get(user, OrderedDict()))
        pins = dict.fromkeys([*since, *(row.pin_id for row in self._hid_before.of(user))])
        return tuple(pins)[: self._hidden]


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
