"""Acknowledged events as Arrow tables: one bad row is told apart and never takes the others with it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from cluster.contract.moments import FIRST, LAST
from cluster.data.schema import event_schema
from cluster.store.quarantine import BadRow, tell_apart

MOMENTS = ("occurred_at", "received_at")

Row = dict[str, Any]


def events_table(rows: Sequence[Row], ids: Literal["int64", "string"]) -> tuple[pa.Table, list[BadRow]]:
    """Rows of the write-ahead file as a table of `event_schema`, and those that do not fit with the reason."""
    schema = event_schema(ids)
    return tell_apart(rows, lambda some: _table(some, schema))


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name in MOMENTS:
            values: list[Any] = [_moment(row[field.name]) for row in rows]
        elif field.name in ("user_id", "pin_id", "action", "event_id"):
            values = [row[field.name] for row in rows]
        else:
            values = [row.get(field.name) for row in rows]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if not FIRST.year <= moment.year < LAST.year:
        raise ValueError(f"{text} lies outside the years {FIRST.year} to {LAST.year - 1}")
    return moment
