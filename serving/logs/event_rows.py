"""Acknowledged events as Arrow tables: one bad row is told apart and never takes the others with it."""

from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

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
            columns.append(_moments([row[field.name] for row in rows], field.type))
            continue
        if field.name in ("user_id", "pin_id", "action", "event_id"):
            values: list[Any] = [row[field.name] for row in rows]
        else:
            values = [row.get(field.name) for row in rows]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _moments(texts: list[str], kind: pa.DataType) -> pa.Array:
    """ISO texts with a zone as moments. Raises ValueError for one outside the years that make sense."""
    moments = pa.array(texts, pa.string()).cast(kind)
    if len(moments):
        bounds = pc.min_max(moments)
        first, last = bounds["min"].cast(pa.int64()).as_py(), bounds["max"].cast(pa.int64()).as_py()
        if first < FIRST.timestamp() * 1e6 or last >= LAST.timestamp() * 1e6:
            raise ValueError(f"occurred_at or received_at lies outside the years {FIRST.year} to {LAST.year - 1}")
    return moments
