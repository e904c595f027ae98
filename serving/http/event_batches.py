"""From the body of POST /v1/events to events, one by one: what is no event is refused alone, with its row and why."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from cluster.contract.api_keys import without_keys
from cluster.contract.ids import shown
from serving.http.api import Event, Id, Refusal
from serving.logs.receipt import Receipt

EVENT_ID = 128


UNWANTED = "user_id: the user turned personalization off, so nothing is stored of what the user does"
NOT_FOR = "client: the key is not for this client"


def read_events(
    rows: list[Any],
    may_store: Callable[[Id], bool] = lambda user: True,
    may_name: Callable[[str], bool] = lambda client: True,
) -> tuple[list[tuple[int, dict[str, Any]]], list[Refusal]]:
    """The events with their rows in the batch, and the refusals of those that have not even an event's fields.

    `may_store` tells whether anything of a user may be stored, `may_name` whether the sender may speak of a client: its
    events would be that client's training examples.
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
            refused.append(_refusal(row, given, f"{field}: {fault['msg']}"))
            continue
        if event.client is not None and not may_name(event.client):
            refused.append(_refusal(row, event.event_id, NOT_FOR))
        elif may_store(event.user_id):
            events.append((row, vars(event)))
        else:
            refused.append(_refusal(row, event.event_id, UNWANTED))
    return events, refused


def refusals(receipt: Receipt, events: list[tuple[int, dict[str, Any]]]) -> list[Refusal]:
    """What the event log refused, by the rows of the batch."""
    return [_refusal(events[each.row][0], each.event_id, each.reason) for each in receipt.refused]


def _refusal(row: int, event_id: object, reason: str) -> Refusal:
    """Reasons quote values, and any of them may be a key that was put there by mistake."""
    return Refusal(row=row, event_id=_plain(event_id), reason=without_keys(reason)[:300])


def _plain(event_id: object) -> str:
    return without_keys(shown(event_id, EVENT_ID)[1:-1]) if isinstance(event_id, str) else ""
