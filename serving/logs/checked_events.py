"""A batch of events as it comes, read by the contract: rows that can be stored, and those that are refused and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serving.logs.contract import EventContract
from serving.logs.known_events import TAKEN, KnownEvents, happened
from serving.logs.receipt import Receipt, Refused
from serving.logs.wal import Row


@dataclass(frozen=True)
class CheckedEvents:
    """`rows` by their number in the batch, with moments as ISO text, as they are stored; the others are refused."""

    rows: dict[int, Row]
    refused: list[Refused]

    @classmethod
    def of(cls, events: Sequence[dict[str, Any]], contract: EventContract) -> "CheckedEvents":
        """Events with the fields of `serving.http.api.Event`, `occurred_at` aware."""
        now = datetime.now(UTC)
        received = now.isoformat()
        rows: dict[int, Row] = {}
        refused: list[Refused] = []
        for at, event in enumerate(events):
            if reason := contract.fault(event, now):
                refused.append(Refused(at, event.get("event_id"), reason))
            else:
                moment = event["occurred_at"].astimezone(UTC)
                rows[at] = {**event, "occurred_at": moment.isoformat(), "received_at": received}
        return cls(rows, refused)

    def new(self, known: KnownEvents, group: dict[str, int]) -> tuple[list[Row], Receipt]:
        """Rows that neither the log nor the group has, which are noted in `group`; and what the sender is told."""
        fresh: list[Row] = []
        taken: list[Refused] = []
        for at, row in self.rows.items():
            event_id = row["event_id"]
            what = happened(row)
            earlier = group.get(event_id, known.get(event_id))
            if earlier is None:
                group[event_id] = what
                fresh.append(row)
            elif earlier != what:
                taken.append(Refused(at, event_id, TAKEN))
        refused = sorted([*self.refused, *taken], key=lambda each: each.row)
        return fresh, Receipt(len(self.rows) - len(taken), refused)
