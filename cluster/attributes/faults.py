"""What is wrong with a filter and where, and how much a filter may ask."""

from typing import Any

from cluster.contract.ids import shown
from cluster.errors import PinfunnelError

Path = tuple[str | int, ...]
"""Where in the JSON: `("filter", "and", 1, "brand", "in", 0)`."""

CONDITIONS = 100
VALUES = 1000
TEXT_BYTES = 256
"""Bounds of one filter: objects in it · values in all of its conditions · the longest text."""


class FilterError(PinfunnelError, ValueError):
    """A filter breaks the contract at `path`, for `reason`."""

    def __init__(self, path: Path, reason: str):
        super().__init__(f"{'.'.join(str(part) for part in path)}: {reason}")
        self.path = path
        self.reason = reason


class Budget:
    """What one filter has left; the filter that spends more is refused before anything is made of it."""

    def __init__(self) -> None:
        self._conditions = CONDITIONS
        self._values = VALUES

    def spend_condition(self, path: Path) -> None:
        """One more object. Raises FilterError beyond CONDITIONS."""
        self._conditions -= 1
        if self._conditions < 0:
            raise FilterError(path, f"more than {CONDITIONS} conditions in one filter")

    def spend_values(self, count: int, path: Path) -> None:
        """So many more values. Raises FilterError beyond VALUES."""
        self._values -= count
        if self._values < 0:
            raise FilterError(path, f"more than {VALUES} values in one filter")


def told(value: Any) -> str:
    """A value that was sent, as a message tells it; what may be nested a thousand deep is only named."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return "null" if value is None else shown(value)
