"""What an event must be like to be acknowledged: one check a field, before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cluster.contract.ids import IdContract, shown
from cluster.contract.moments import MomentContract
from cluster.contract.text import field_fault

TEXTS = ("event_id", "action", "client", "request_id")


@dataclass(frozen=True)
class EventContract:
    """The events of one project."""

    ids: IdContract
    actions: tuple[str, ...]
    window: MomentContract

    @classmethod
    def of(cls, ids: Literal["int64", "string"], actions: Sequence[str], window: MomentContract) -> "EventContract":
        """From the settings of a project."""
        return cls(IdContract(ids), tuple(actions), window)

    def fault(self, event: Mapping[str, Any], now: datetime) -> str:
        """`field: what is wrong` of the first field that is; empty when the event can be stored."""
        for name in TEXTS:
            value = event.get(name)
            if value is not None and (reason := field_fault(name, value)):
                return f"{name}: {reason}"
        if not event.get("event_id"):
            return "event_id: may not be empty"
        if event["action"] not in self.actions:
            return f"action: unknown action {shown(event['action'])}; known: {sorted(self.actions)}"
        for name in ("user_id", "pin_id"):
            if reason := self.ids.fault(event.get(name)):
                return f"{name}: {reason}"
        moment = event.get("occurred_at")
        if not isinstance(moment, datetime):
            return "occurred_at: expected a moment, like 2026-01-31T12:00:00Z"
        if reason := self.window.fault(moment, now):
            return f"occurred_at: {reason}"
        return ""
