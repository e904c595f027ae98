"""Calls that come while others are written share the next write, and so its wait for the disk.

Knows nothing of events and files.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class Call(Generic[T, R]):
    """What one caller waits for."""

    item: T
    size: int
    outcome: "R | Exception | None" = None


class GroupCommit(Generic[T, R]):
    """`commit` takes the items of all callers that wait, one group after the other. Thread-safe.

    The first caller commits for all who came while the group before was written; there is no thread of its own.
    """

    def __init__(self, commit: "Callable[[list[T]], Sequence[R | Exception]]", most: int):
        """`commit` gives each item's outcome; when it raises, all fail. At most `most` in size may wait."""
        self._commit = commit
        self._most = most
        self._lock = threading.Lock()  # of what follows
        self._waiting: list[Call[T, R]] = []
        self._size = 0
        self._leading = threading.Lock()

    def __call__(self, item: T, size: int) -> R:
        """The outcome of `item`, once it is committed. Raises OSError when it is not, or too much waits already."""
        mine: Call[T, R] = Call(item, size)
        with self._lock:
            if self._waiting and self._size + size > self._most:
                raise OSError(f"too much waits for the disk ({self._size}): it is slow")
            self._waiting.append(mine)
            self._size += size
        with self._leading:
            if mine.outcome is None:
                self._lead()
        if isinstance(mine.outcome, Exception):
            raise OSError(str(mine.outcome)) from mine.outcome
        assert mine.outcome is not None
        return mine.outcome

    def _lead(self) -> None:
        with self._lock:
            group = self._waiting
            self._waiting = []
            self._size = 0
        try:
            outcomes = self._commit([call.item for call in group])
        except Exception as error:
            outcomes = [error] * len(group)
        for call, outcome in zip(group, outcomes, strict=True):
            call.outcome = outcome
