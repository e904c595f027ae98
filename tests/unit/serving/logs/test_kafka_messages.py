"""An event as a message: it comes back as it went, and whatever else comes is told apart and never raises."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.logs.checked_events import CheckedEvents
from serving.logs.kafka_messages import ELSEWHERE, FIELDS, kept_as, message_of, read_message
from serving.logs.shard import WHOLE, Shard, shard_of
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.writers import CONTRACT

MOMENT = "2026-01-31T12:00:00Z"
SOUND = {"event_id": "a", "user_id": 1, "pin_id": 2, "action": "save", "occurred_at": MOMENT}


def value(**changes: Any) -> bytes:
    return json.dumps({**SOUND, **changes}).encode()


def test_an_event_comes_back_as_it_went() -> None:
    checked = CheckedEvents.of([event("a", client=None)], CONTRACT)
    again = read_message(message_of(checked.rows[0]), WHOLE)
    assert isinstance(again, dict)
    assert tuple(again) == FIELDS
    back = CheckedEvents.of([again], CONTRACT)
    assert back.refused == []
    assert {**back.rows[0], "received_at": None} == {**checked.rows[0], "received_at": None}


def test_what_others_add_is_left_out_and_what_may_be_missing_is_none() -> None:
    read = read_message(value(extra=1), WHOLE)
    expected = {**SOUND, "client": None, "request_id": None, "occurred_at": datetime(2026, 1, 31, 12, tzinfo=UTC)}
    assert read == expected


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (None, "message: not JSON"),
        (b"", "message: not JSON"),
        (b"\xff", "message: not JSON"),
        (b"[]", "message: not a JSON object"),
        (b"{}", "event_id: missing"),
        (b'{"event_id": "a", "user_id": 1, "pin_id": 2, "action": "save"}', "occurred_at: missing"),
        (value(occurred_at=5), "occurred_at: expected a moment"),
        (value(occurred_at="yesterday"), "occurred_at: expected a moment"),
    ],
)
def test_what_is_no_event_is_told_why(message: bytes | None, why: str) -> None:
    said = read_message(message, WHOLE)
    assert isinstance(said, str)
    assert said.startswith(why)


def test_a_user_of_another_writer_is_told_apart() -> None:
    mine = Shard(shard_of(1, 4), 4)
    assert isinstance(read_message(value(), mine), dict)
    assert read_message(value(), Shard((mine.index + 1) % 4, 4)) == ELSEWHERE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda x: st.lists(x), max_leaves=3
)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_an_event_or_refused_by_field(changes: dict[str, Any]) -> None:
    read = read_message(json.dumps({**SOUND, **changes}).encode(), WHOLE)
    if isinstance(read, dict):
        checked = CheckedEvents.of([read], CONTRACT)
        assert len(checked.rows) + len(checked.refused) == 1


def test_what_is_set_aside_can_be_read() -> None:
    assert kept_as(b"\xff{", 3, 9) == {"partition": 3, "offset": 9, "message": "\\xff{"}
