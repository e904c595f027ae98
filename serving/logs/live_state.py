"""What users did, hid and were shown since a server started: a SQLite file, written by one process and read by others.

Nothing here is the only copy of anything: acts are in the event log, answers in the serving log. So the file is never
synced; whoever starts anew begins a new one.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from serving.logs.actions import Action
from serving.request.ask import Id, ShownPins

TABLES = """
create table if not exists acts (user, at integer, seq integer, pin, action text, client text,
    primary key (user, at, seq)) without rowid;
create table if not exists hides (user, pin, seq integer, primary key (user, pin)) without rowid;
create table if not exists shown (user, client text, at integer, pins text,
    primary key (user, client, at)) without rowid;
"""
ANSWERS = 20
"""Newest answers that are remembered of a user and client."""

Key = tuple[Id, ...]


@dataclass(frozen=True)
class RowsOfKey:
    """A table's rows that have the same values in `key`; `column` tells them apart, `newest` puts them in order."""

    table: str
    key: tuple[str, ...]
    column: str
    newest: str

    @property
    def delete_older(self) -> str:
        """All of a key's rows but the newest; parameters: the key's values, and how many stay."""
        same = " and ".join(f"{name} = ?{at}" for at, name in enumerate(self.key, 1))
        # names of our own tables and columns; values are parameters
        kept = f"select {self.column} from {self.table} where {same} order by {self.newest} limit ?{len(self.key) + 1}"  # nosec B608
        return f"delete from {self.table} where {same} and ({self.column}) not in ({kept})"  # nosec B608


ACTS = RowsOfKey("acts", ("user",), "at, seq", "at desc, seq desc")
HIDES = RowsOfKey("hides", ("user",), "pin", "seq desc")
SHOWN = RowsOfKey("shown", ("user", "client"), "at", "at desc")


class LiveState:
    """One file, or memory. Its writer holds a lock; a reader has an object of its own."""

    def __init__(self, path: Path | None, remember: int, hidden: int, read_only: bool = False):
        """`path` None: in memory. Raises sqlite3.Error for a file that is none."""
        self._remember = remember
        self._hidden = hidden
        self._seq = 0
        self._acts: Counter[Key] = Counter()
        self._hides: Counter[Key] = Counter()
        self._answers: Counter[Key] = Counter()
        where = ":memory:" if path is None else f"file:{path}?mode=ro" if read_only else str(path)
        self._db = sqlite3.connect(where, isolation_level=None, check_same_thread=False, uri=read_only)
        if not read_only:
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = off")
            self._db.executescript(TABLES)

    def note(self, events: Iterable[Mapping[str, Any]], negative: frozenset[str]) -> None:
        """Take acknowledged events into account, in one transaction; `occurred_at` is their ISO text."""
        acts = []
        hides = []
        for event in events:
            user = event["user_id"]
            pin = event["pin_id"]
            action = event["action"]
            self._seq += 1
            moment = round(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1e6)
            acts.append((user, moment, self._seq, pin, action, event.get("client") or ""))
            if action in negative:
                hides.append((user, pin, self._seq))
        with self._written():
            self._db.executemany("insert into acts values (?, ?, ?, ?, ?, ?)", acts)
            self._db.executemany("insert or replace into hides values (?, ?, ?)", hides)
            self._trim(ACTS, self._remember, self._acts, ((row[0],) for row in acts))
            self._trim(HIDES, self._hidden, self._hides, ((row[0],) for row in hides))

    def note_shown(self, answers: Iterable[tuple[Id, ShownPins]]) -> None:
        """Remember what users were shown."""
        rows = [(user, one.client, one.at, json.dumps(list(one.pins))) for user, one in answers]
        with self._written():
            self._db.executemany("insert or replace into shown values (?, ?, ?, ?)", rows)
            self._trim(SHOWN, ANSWERS, self._answers, ((user, client) for user, client, _, _ in rows))

    def users(self) -> list[Id]:
        """All of whom there is something."""
        found = self._db.execute("select user from acts union select user from hides union select user from shown")
        return [user for (user,) in found]

    def forget(self, before: Mapping[Id, int]) -> None:
        """Of these users only what is not older than their moment stays; no byte of the rest is left in the file.

        Of what was hidden only pins stay whose hide is among the acts that do.
        """
        rows = [(user, moment) for user, moment in before.items()]
        with self._written():
            self._db.executemany("delete from acts where user = ? and at < ?", rows)
            self._db.executemany("delete from shown where user = ? and at < ?", rows)
            self._db.executemany(
                "delete from hides where user = ?1 and pin not in (select pin from acts where user = ?1)",
                ((user,) for user in before),
            )
        self._db.execute("vacuum")
        busy, *_ = self._db.execute("pragma wal_checkpoint(truncate)").fetchone()
        if busy:
            raise sqlite3.OperationalError("readers hold on to what is to be forgotten: try again")

    @contextmanager
    def _written(self) -> Iterator[None]:
        """One transaction: all of it, or nothing."""
        self._db.execute("begin")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def _trim(self, rows: RowsOfKey, most: int, known: Counter[Key], keys: Iterable[Key]) -> None:
        """Delete what a key has too many rows of, once that is as much again; `keys` are of the rows just written."""
        for key, more in Counter(keys).items():
            known[key] += more
            if known[key] > 2 * most:
                self._db.execute(rows.delete_older, (*key, most))
                known[key] = most

    def acts(self, user: Id) -> list[Action]:
        """The user's last actions, newest first; among equal times, what came in last."""
        found = self._db.execute(
            "select at, pin, action, client from acts where user = ? order by at desc, seq desc limit ?",
            (user, self._remember),
        )
        return [Action(*row) for row in found]

    def hides(self, user: Id) -> list[Id]:
        """The pins that the user hid, newest first."""
        found = self._db.execute("select pin from hides where user = ? order by seq desc limit ?", (user, self._hidden))
        return [pin for (pin,) in found]

    def shown(self, user: Id) -> list[ShownPins]:
        """The last answers that the user got, newest first."""
        found = self._db.execute("select client, at, pins from shown where user = ? order by at desc", (user,))
        return [ShownPins(client, at, tuple(json.loads(pins))) for client, at, pins in found]

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
