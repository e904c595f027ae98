"""What users chose for themselves: no personalization, boards and topics that they do not want to see."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.control.journal import Entry, Journal, JournalReader

FILE = "users.jsonl"

Id = int | str


@dataclass(frozen=True)
class UserChoice:
    """One user's."""

    personalization: bool = True
    boards: frozenset[Id] = frozenset()  # hidden, by id
    topics: frozenset[str] = frozenset()  # hidden, by name


NONE_MADE = UserChoice()


class Choices:
    """Of all users of a project, for any number of processes. Thread-safe."""

    def __init__(self, folder: str | Path):
        """`folder`: the project's, of what was asked for by hand; it need not be there."""
        self._journal = Journal(Path(folder) / FILE)
        self._reader = JournalReader(self._journal)
        self._made: dict[Id, UserChoice] = {}

    def of(self, user: Id | None) -> UserChoice:
        """As of this moment, whichever process it was told to. One `stat` where nothing has changed."""
        if user is None:
            return NONE_MADE
        self._reader.look(self._take)
        return self._made.get(user, NONE_MADE)

    def choose(
        self,
        user: Id,
        personalization: bool | None = None,
        hide: dict[str, list[Any]] | None = None,
        show: dict[str, list[Any]] | None = None,
    ) -> UserChoice:
        """Change what is given, of `boards` and `topics`. Holds everywhere once it returns. Raises OSError."""
        entry: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "user": user}
        given = {"personalization": personalization, "hide": hide, "show": show}
        self._journal.append([entry | {name: value for name, value in given.items() if value is not None}])
        return self.of(user)

    def forget(self, users: Collection[Id]) -> int:
        """Take out all that these users chose; how many lines that were. Raises OSError."""
        return self._journal.rewrite(lambda entry: entry.get("user") not in users)

    def _take(self, entries: list[Entry], anew: bool) -> None:
        made = {} if anew else dict(self._made)
        for entry in entries:
            user = entry.get("user")
            if isinstance(user, (int, str)):
                made[user] = _after(made.get(user, NONE_MADE), entry)
        self._made = {user: choice for user, choice in made.items() if choice != NONE_MADE}


def _after(choice: UserChoice, entry: Entry) -> UserChoice:
    hide, show = (entry.get(name, {}) for name in ("hide", "show"))
    return replace(
        choice,
        personalization=bool(entry.get("personalization", choice.personalization)),
        boards=(choice.boards | set(hide.get("boards", ()))) - set(show.get("boards", ())),
        topics=(choice.topics | set(hide.get("topics", ()))) - set(show.get("topics", ())),
    )
