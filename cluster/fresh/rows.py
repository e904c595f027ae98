"""Rows of fresh pins, one by one: JSON by the data contract's own types, with a reason for each that is refused.

A row is a pin of the pins input in its columns, with `boards`: ids of the boards that it was saved to, and `saved_at`.
Of a pin that the graph has by now only its boards count, so a row of these alone is a save.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from cluster.contract.ids import IdContract, shown
from cluster.data.casting import Fault, cast_column, kind_of, parse_text
from cluster.data.cleaning import CLOCK_SKEW_US, to_us
from cluster.data.schema import TIMESTAMP, InputColumn, edges_columns, pins_columns
from cluster.fresh.overlay import FreshRows
from cluster.settings.project import Project

MOST_BOARDS = 1000
"""Boards of one row."""
MOST_BYTES = 1024
"""Of a text that is no id."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RefusedRow:
    """A row that was set aside."""

    row: int  # from 0
    reason: str  # `column: what is wrong`


class RowContract:
    """What a fresh row of one project must be like."""

    def __init__(self, project: Project):
        self._ids = IdContract(project.ids)
        columns = pins_columns(project.ids, project.features, project.attributes)
        self._columns: dict[str, InputColumn] = {column.name: column for column in columns}
        self._pins = pa.schema([(column.name, column.type) for column in columns])
        self._edges = pa.schema([(column.name, column.type) for column in edges_columns(project.ids)])

    def read(self, rows: Sequence[Any], now: datetime) -> tuple[list[dict[str, Any]], list[RefusedRow]]:
        """The rows that can be kept, as JSON can hold them and with a time of saving; and why others cannot."""
        kept: list[dict[str, Any]] = []
        refused: list[RefusedRow] = []
        for at, row in enumerate(rows):
            try:
                kept.append(self._checked(row, now))
            except ValueError as error:
                refused.append(RefusedRow(at, str(error)))
        return kept, refused

    def tables(self, rows: Sequence[Row]) -> FreshRows:
        """Kept rows in the contract's columns, not cleaned: each is one of `pins`, its boards are `edges`."""
        pins = {name: [_parsed(row.get(name), self._pins.field(name).type) for row in rows] for name in self._columns}
        edges = [(board, row["pin_id"], row.get("saved_at")) for row in rows for board in row.get("boards", ())]
        boards, saved, times = zip(*edges, strict=True) if edges else ((), (), ())
        moments = [_parsed(moment, TIMESTAMP) for moment in times]
        table = pa.table([pa.array(boards), pa.array(saved), pa.array(moments, TIMESTAMP)], names=self._edges.names)
        return FreshRows(pa.table(pins, schema=self._pins), table.cast(self._edges))

    def _checked(self, row: Any, now: datetime) -> dict[str, Any]:
        """Raises ValueError with the column and the reason."""
        if not isinstance(row, dict):
            raise ValueError(f"row: not an object with columns, found {shown(row)}")
        if unknown := sorted(set(row) - {*self._columns, "boards", "saved_at"}):
            raise ValueError(
                f"{shown(unknown[0])[1:-1]}: no such column; there are boards, saved_at, {', '.join(self._columns)}"
            )
        if fault := self._ids.fault(row.get("pin_id")):
            raise ValueError(f"pin_id: {fault}")
        boards = row.get("boards", [])
        if not isinstance(boards, list) or len(boards) > MOST_BOARDS:
            raise ValueError(f"boards: a list of at most {MOST_BOARDS} ids is wanted")
        for board in boards:
            if fault := self._ids.fault(board):
                raise ValueError(f"boards: {fault}")
        saved = now if row.get("saved_at") is None else _moment("saved_at", row["saved_at"])
        if to_us(saved) > to_us(now) + CLOCK_SKEW_US:
            raise ValueError("saved_at: lies in the future")
        kept = {
            name: _plain(name, value, self._columns[name].type) for name, value in row.items() if name in self._columns
        }
        return {**kept, "boards": boards, "saved_at": saved.isoformat()}


def _plain(name: str, value: Any, want: pa.DataType) -> Any:
    """A value as the contract casts it, in a type of JSON's."""
    if value is None:
        return None
    if kind_of(want) == "timestamp":
        return _moment(name, value).isoformat()
    if isinstance(value, str) and len(value.encode("utf-8", "replace")) > MOST_BYTES:
        raise ValueError(f"{name}: longer than {MOST_BYTES} bytes")
    try:
        return cast_column(pa.array([value]), want)[0].as_py()
    except Fault as fault:
        raise ValueError(f"{name}: found {fault.value}, {fault.want} is wanted") from None
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: found {shown(value)}, {kind_of(want)} is wanted") from None


def _moment(name: str, value: Any) -> datetime:
    try:
        if isinstance(value, str):
            return parse_text(value, TIMESTAMP).as_py()
    except (Fault, OverflowError):
        pass
    raise ValueError(f"{name}: found {shown(value)}, a time like 2026-01-31T12:00:00Z is wanted")


def _parsed(value: Any, want: pa.DataType) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) and pa.types.is_timestamp(want) else value
