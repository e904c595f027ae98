"""An event as a Kafka message and back. What comes from a topic is as foreign as what comes from HTTP: it is checked.

The value is a JSON object with the fields of `POST /v1/events`; what else is in it is left out. The key is the user's
id as text. Knows nothing of brokers.
"""

from datetime import datetime
from typing import Any

import orjson

from serving.logs.shard import Shard
from serving.logs.wal import Row

FIELDS = ("event_id", "user_id", "pin_id", "action", "client", "request_id", "occurred_at")
OPTIONAL = ("client", "request_id")
ELSEWHERE = (
    "user_id: another writer has this user: give messages the user's id as key, and have its CRC-32 choose the "
    "partition (librdkafka's partitioner `consistent`)"
)


def message_of(row: Row) -> bytes:
    """A checked event."""
    return orjson.dumps({name: row.get(name) for name in FIELDS})


def read_message(value: bytes | None, shard: Shard) -> dict[str, Any] | str:
    """The event, its other fields unchecked and `occurred_at` a moment; or why it is none of the shard's users."""
    try:
        raw = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return "message: not JSON"
    if not isinstance(raw, dict):
        return "message: not a JSON object"
    if missing := [name for name in FIELDS if name not in OPTIONAL and name not in raw]:
        return f"{missing[0]}: missing"
    event: dict[str, Any] = {name: raw.get(name) for name in FIELDS}
    try:
        event["occurred_at"] = datetime.fromisoformat(raw["occurred_at"])
    except (TypeError, ValueError):
        return "occurred_at: expected a moment, like 2026-01-31T12:00:00Z"
    return event if shard.has(event["user_id"]) else ELSEWHERE


def kept_as(value: bytes | None, partition: int, offset: int) -> dict[str, Any]:
    """A message that is no event, for the quarantine."""
    return {"partition": partition, "offset": offset, "message": (value or b"").decode("utf-8", "backslashreplace")}
