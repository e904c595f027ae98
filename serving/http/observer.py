"""Who is told of every answer and refusal, for metrics."""

from typing import Protocol

from serving.request.answer import Answer


class Observer(Protocol):
    """Told of every answer, for metrics."""

    def answered(self, answer: Answer, milliseconds: float) -> None:
        """An answer left, so long after its request came."""
        ...

    def log_dropped(self, client: str) -> None:
        """The log's queue was full: one answer is not in it."""
        ...

    def refused(self, why: str) -> None:
        """A call was refused: the queue was `full`, it was `late` before its turn, or its key did not do (auth.py)."""
        ...

    def events(self, outcome: str, count: int) -> None:
        """So many events that were sent are `stored`, `refused` by name, or `not_stored`: to be sent again."""
        ...
