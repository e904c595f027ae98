"""What one writer of the event log has done about users who were forgotten, and what is left to do."""

from collections.abc import Sequence
from typing import Any

from cluster.control.forgotten import Forgotten
from cluster.control.logs import rows_that_stay
from serving.request.ask import Id, ShownPins


class Forgetting:
    """Of one process. Without `forgotten` nobody ever is."""

    def __init__(self, forgotten: Forgotten | None):
        self.forgotten = forgotten
        self._done = self.orders()

    def orders(self) -> int:
        """Grows with every order to forget."""
        return 0 if self.forgotten is None else self.forgotten.changes()

    def staying(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Events without those to be forgotten."""
        return rows_that_stay(rows, self.forgotten, "received_at")

    def answers(self, shown: Sequence[tuple[Id, ShownPins]]) -> Sequence[tuple[Id, ShownPins]]:
        """The same of what users were shown."""
        if (forgotten := self.forgotten) is None:
            return shown
        return [(user, one) for user, one in shown if one.at >= forgotten.before(user)]

    def stored(self, orders: int) -> None:
        """Events were stored that were read when there were so many `orders`: if there are more, they are looked at."""
        if self.orders() != orders:
            self._done = -1

    def due(self) -> int | None:
        """How far to go; None where everything was done."""
        orders = self.orders()
        return None if orders == self._done else orders

    def done(self, orders: int) -> None:
        """So far everything was removed."""
        self._done = orders
