"""What is known of each user since the log begins: the last actions, every hidden pin, what was shown lately.

Two memories of actions with bounds of their own, because what a user hid must not be forgotten for what the user
clicked since: the newest `remember` actions, and the newest `hidden` pins with a negative action. What was read at
start lies in mapped tables (serving/logs/actions.py); what came since, in a SQLite file (serving/logs/live_state.py).
Both lie in a folder that other processes of this machine read, too (serving/logs/state_folder.py).
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.control.forgotten import Forgotten
from serving.logs.actions import ActionTable, NewestRows, as_recents
from serving.logs.live_state import LiveState
from serving.request.ask import Id, ShownPins, UserState

BEFORE = "acts.arrow"
HID_BEFORE = "hides.arrow"
LIVE = "live.sqlite"


@dataclass(frozen=True)
class StateTables:
    """All that is known of users, to look one up in. For one thread at a time."""

    before: ActionTable
    hid_before: ActionTable
    live: LiveState
    remember: int
    hidden: int

    @classmethod
    def open(cls, folder: Path, remember: int, hidden: int) -> "StateTables":
        """What another process has written and writes on. Raises OSError or sqlite3.Error when it is not there."""
        before, hid = (ActionTable.open(folder / name) for name in (BEFORE, HID_BEFORE))
        return cls(before, hid, LiveState(folder / LIVE, remember, hidden, read_only=True), remember, hidden)

    def of(self, user: Id | None) -> UserState:
        """What is known of one user; actions are newest first, and among equal times, what came in last."""
        if user is None:
            return UserState()
        acts = [*self.live.acts(user), *self.before.of(user)]
        acts = sorted(acts, key=lambda act: -act.occurred_at)[: self.remember]
        hidden = dict.fromkeys([*self.live.hides(user), *(act.pin_id for act in self.hid_before.of(user))])
        return UserState(as_recents(acts), tuple(hidden)[: self.hidden], tuple(self.live.shown(user)))


class UserStates:
    """Every user's state. Its owner (the event log) holds the lock."""

    def __init__(
        self, negative_actions: Iterable[str], remember: int = 64, hidden: int = 1000, folder: Path | None = None
    ):
        """Kept in `folder`, which must be new, or in memory."""
        self._negative = frozenset(negative_actions)
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True)
        live = LiveState(None if folder is None else folder / LIVE, remember, hidden)
        self._tables = StateTables(ActionTable(None), ActionTable(None), live, remember, hidden)

    def rebuild(self, tables: Callable[[], Iterable[pa.Table]]) -> None:
        """Read what the log holds, table by table in the order written; nothing must have been noted yet."""
        recents, hides = NewestRows(self._tables.remember), NewestRows(self._tables.hidden)
        for table in tables():
            recents.feed(table)
            hides.feed(table.filter(pc.is_in(table["action"], pa.array(sorted(self._negative), pa.string()))))
        before, hid_before = recents.finish(), hides.finish()
        if self._folder is not None:
            before.save(self._folder / BEFORE)
            hid_before.save(self._folder / HID_BEFORE)
        self._tables = StateTables(before, hid_before, self._tables.live, self._tables.remember, self._tables.hidden)

    def note(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take acknowledged events into account; `occurred_at` is their ISO text."""
        self._tables.live.note(events, self._negative)

    def note_shown(self, answers: Iterable[tuple[Id, ShownPins]]) -> None:
        """Remember what users were shown."""
        self._tables.live.note_shown(answers)

    def of(self, user: Id | None) -> UserState:
        """What is known of one user."""
        return self._tables.of(user)

    def forget(self, forgotten: Forgotten) -> list[Id]:
        """Remove what is to be forgotten, from memory and disk; whose it was. Readers must open the folder anew."""
        tables = self._tables
        known = {*tables.live.users(), *tables.before.users(), *tables.hid_before.users()}
        before = {user: moment for user in known if (moment := forgotten.before(user))}
        if not before:
            return []
        tables.live.forget(before)
        acts, hides = tables.before.without(before), tables.hid_before.without(before)
        if self._folder is not None:
            for table, name in ((acts, BEFORE), (hides, HID_BEFORE)):
                table.save(self._folder / f".{name}")
                os.replace(self._folder / f".{name}", self._folder / name)
        self._tables = replace(tables, before=acts, hid_before=hides)
        return list(before)

    def close(self) -> None:
        """Let go of the file."""
        self._tables.live.close()
