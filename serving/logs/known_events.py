"""Which events the log has, by id: a repeated delivery counts once, and an id of two events is told.

Knows nothing of disk or HTTP.
"""

from collections.abc import Mapping
from typing import Any

TAKEN = "event_id: another event was stored with it: give each event an id of its own"


def happened(event: Mapping[str, Any]) -> int:
    """A hash of who, which pin and which action.

    The time is left out: a sender may stamp it anew when it sends an event again.
    """
    return hash((event["user_id"], event["pin_id"], event["action"]))


class KnownEvents:
    """The newest event ids and what happened: `most` of them at least, and at most twice as many."""

    def __init__(self, most: int):
        self._most = most
        self._newest: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def get(self, event_id: str) -> int | None:
        """What happened in the event of this id; None when it is not known."""
        found = self._newest.get(event_id)
        return self._before.get(event_id) if found is None else found

    def add(self, events: Mapping[str, int]) -> None:
        """Remember what happened, by event id."""
        self._newest.update(events)
        if len(self._newest) >= self._most:
            self._newest, self._before = {}, self._newest
