"""Pins and boards that were taken down, by their ids: they are in no answer until they are restored.

By ids, so that it holds for every graph: the present one, the next build, and an old one that is published again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster.contract.ids import Id
from cluster.control.journal import Entry, Journal, JournalReader, ids_of

FILE = "removed.jsonl"


@dataclass(frozen=True, eq=False)
class Removed:
    """What is taken down at one moment. Nothing changed as long as it is the same object."""

    pins: frozenset[Id] = frozenset()
    boards: frozenset[Id] = frozenset()


class Removals:
    """Of a project, for any number of processes. Thread-safe."""

    def __init__(self, folder: str | Path):
        """`folder`: the project's, of what was asked for by hand; it need not be there."""
        self._journal = Journal(Path(folder) / FILE)
        self._reader = JournalReader(self._journal, _orders)
        self._now = Removed()

    def now(self) -> Removed:
        """What is taken down, by whichever process. One `stat` where nothing has changed."""
        self._reader.look(self._take)
        return self._now

    def remove(self, pins: Sequence[Id] = (), boards: Sequence[Id] = ()) -> Removed:
        """Take down; what was before stays so. Holds everywhere once it returns. Raises OSError."""
        return self._write("remove", pins, boards)

    def restore(self, pins: Sequence[Id] = (), boards: Sequence[Id] = ()) -> Removed:
        """Undo it. A pin that lies on removed boards alone comes back with one of them. Raises OSError."""
        return self._write("restore", pins, boards)

    def _write(self, what: str, pins: Sequence[Id], boards: Sequence[Id]) -> Removed:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._journal.append([{"at": at, what: {"pins": list(pins), "boards": list(boards)}}])
        return self.now()

    def _take(self, orders: list[tuple[Removed, Removed]], anew: bool) -> None:
        pins: set[Id] = set() if anew else set(self._now.pins)
        boards: set[Id] = set() if anew else set(self._now.boards)
        for down, back in orders:
            pins |= down.pins
            pins -= back.pins
            boards |= down.boards
            boards -= back.boards
        self._now = Removed(frozenset(pins), frozenset(boards))


def _orders(entry: Entry) -> tuple[Removed, Removed]:
    """What a line takes down, and what it puts back."""
    down, back = (Removed(ids_of(entry, what, "pins"), ids_of(entry, what, "boards")) for what in ("remove", "restore"))
    return down, back
