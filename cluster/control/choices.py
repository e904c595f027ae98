"""What users chose for themselves: no personalization, boards and topics that they do not want to see."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.contract.ids import Id
from cluster.control.journal import Entry, Journal, JournalReader, ids_of

FILE = "users.jsonl"


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
        self._reader = JournalReader(self._journal, _change)
        self._made: dict[Id, UserChoice] = {}

    def of(self, user: Id | None) -> UserChoice:
        """As of this moment, whichever process it was told to. One `stat` where nothing has changed."""
        if user is None:
            return NONE_MADE
        self._reader.look(self._take)
        return self._made.get(user, NONE_MADE)

    def may_store(self, user: Id) -> bool:
        """Whether anything of what the user does may be stored."""
        return self.of(user).personalization

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

    def _take(self, changes: list["_Change"], anew: bool) -> None:
        made = {} if anew else dict(self._made)
        for change in changes:
            made[change.user] = change.after(made.get(change.user, NONE_MADE))
        self._made = {user: choice for user, choice in made.items() if choice != NONE_MADE}


@dataclass(frozen=True)
class _Change:
    """One line of the journal."""

    user: Id
    personalization: bool | None  # None: as before
    hide: UserChoice
    show: UserChoice

    def after(self, before: UserChoice) -> UserChoice:
        """What is chosen then."""
        return UserChoice(
            before.personalization if self.personalization is None else self.personalization,
            (before.boards | self.hide.boards) - self.show.boards,
            (before.topics | self.hide.topics) - self.show.topics,
        )


def _change(entry: Entry) -> _Change:
    user = entry["user"]
    personalization = entry.get("personalization")
    if not isinstance(user, (int, str)) or not isinstance(personalization, (bool, type(None))):
        raise TypeError("no user, or no yes or no")
    hide, show = (
        UserChoice(boards=ids_of(entry, what, "boards"), topics=ids_of(entry, what, "topics"))
        for what in ("hide", "show")
    )
    return _Change(user, personalization, hide, show)
