"""From the body of POST /v1/events to events, one by one: what is no event is refused alone, with its row and why."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from cluster.contract.ids import shown
from serving.http.api import Event, Id, Refusal
from serving.logs.receipt import Receipt

EVENT_ID = 128


UNWANTED = "user_id: the user turned personalization off, so nothing is stored of what the user does"


def read_events(
    rows: list[Any], may: Callable[[Id], bool] = lambda user: True
) -> tuple[list[tuple[int, dict[str, Any]]], list[Refusal]]:
    """The events with their rows in the batch, and the refusals of those that have not even an event's fields.

    `may` tells whether anything of a user may be stored.
    """
    events: list[tuple[int, dict[str, Any]]] = []
    refused: list[Refusal] = []
    for row, raw in enumerate(rows):
        try:
            event = Event.model_validate(raw)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = ".".join(str(part) for part in fault["loc"][:1]) or "event"
            given = raw.get("event_id") if isinstance(raw, dict) else None
            refused.append(Refusal(row=row, event_id=_plain(given), reason=f"{field}: {fault['msg']}"[:300]))
            continue
        if may(event.user_id):
            events.append((row, vars(event)))
        else:
            refused.append(Refusal(row=row, event_id=_plain(event.event_id), reason=UNWANTED))
    return events, refused


def refusals(receipt: Receipt, events: list[tuple[int, dict[str, Any]]]) -> list[Refusal]:
    """What the event log refused, by the rows of the batch."""
    return [
        Refusal(row=events[each.row][0], event_id=_plain(each.event_id), reason=each.reason) for each in receipt.refused
    ]


def _plain(event_id: object) -> str:
    return shown(event_id, EVENT_ID)[1:-1] if isinstance(event_id, str) else ""
