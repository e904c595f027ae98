"""Which events the log has, by id: a repeated delivery counts once, and an id of two events is told.

Knows nothing of disk or HTTP.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

TAKEN = "event_id: another event was stored with it: give each event an id of its own"


class KnownEvents:
    """The newest `most` event ids and a hash of what happened: who, which pin, which action.

    The time is left out: a sender may stamp it anew when it sends an event again.
    """

    def __init__(self, most: int):
        self._most = most
        self._happened: OrderedDict[str, int] = OrderedDict()

    def has(self, event: Mapping[str, Any]) -> bool:
        """Whether an event of this id is known."""
        return event["event_id"] in self._happened

    def fault(self, event: Mapping[str, Any]) -> str:
        """Why the event cannot have its id, or an empty text."""
        known = self._happened.get(event["event_id"])
        return "" if known is None or known == _hash(event) else TAKEN

    def note(self, event: Mapping[str, Any]) -> None:
        """Remember an event; one without an id is never repeated."""
        if event["event_id"] is None:
            return
        self._happened[event["event_id"]] = _hash(event)
        if len(self._happened) > self._most:
            self._happened.popitem(last=False)


def _hash(event: Mapping[str, Any]) -> int:
    return hash((event["user_id"], event["pin_id"], event["action"]))
