"""Which rows of an input count: the one definition that validation, the in-memory build and the Ray build share.

Every dropped or changed value is counted under a sentence that says what was wrong. Knows nothing of files or Ray.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.casting import list_matrix
from cluster.data.schema import TIMESTAMP

CLOCK_SKEW_US = 5 * 60 * 10**6
"""A timestamp may run ahead of this machine's clock by so much before it counts as in the future."""

FILE, ROW = "_file", "_row"
"""Columns that validation adds to say where a row came from: the file's number, the row in it from 0."""


@dataclass
class Tally:
    """Counted reasons: rows that were `dropped`, values that were `changed` to missing, facts that are only `noted`."""

    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where each reason was met first, (FILE, ROW), for tables that carry these two columns."""

    def met(self, what: str, table: pa.Table, rows: Any) -> None:
        """Notes the place of the first of `rows` (positions in `table`) as the first of `what`."""
        if FILE in table.column_names and what not in self.first and len(rows):
            at = int(rows[0])
            self.first[what] = (table[FILE][at].as_py(), table[ROW][at].as_py())

    def add(self, other: "Tally") -> None:
        """Sums the counts of another tally into this one."""
        self.dropped.update(other.dropped)
        self.changed.update(other.changed)
        self.noted.update(other.noted)

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Non-zero counts as plain dicts."""
        return {
            name: {what: n for what, n in sorted(counts.items()) if n}
            for name, counts in (("dropped", self.dropped), ("changed", self.changed), ("noted", self.noted))
        }

    @classmethod
    def of(cls, raw: dict[str, dict[str, int]]) -> "Tally":
        """The reverse of `as_dict`."""
        return cls(Counter(raw["dropped"]), Counter(raw["changed"]), Counter(raw["noted"]))


def now_us() -> int:
    """Microseconds since 1970, UTC."""
    return to_us(datetime.now(UTC))


def to_us(moment: datetime) -> int:
    """A datetime (naive: UTC) in microseconds since 1970."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1e6)


def moment(us: int) -> pa.Scalar:
    """Microseconds since 1970 as an Arrow timestamp of the contract's type."""
    return pa.scalar(us, pa.int64()).cast(TIMESTAMP)


def drop(table: pa.Table, bad: Any, what: str, tally: Tally) -> pa.Table:
    """`table` without the rows marked in `bad` (nulls mark nothing), counted as `what`."""
    marks = pc.fill_null(bad, False)
    count = pc.sum(marks).as_py() or 0
    if not count:
        return table
    tally.dropped[what] += count
    tally.met(what, table, np.flatnonzero(np.asarray(marks)))
    return table.filter(pc.invert(marks))


def clean_edges(table: pa.Table, now: int, tally: Tally, before: int | None = None) -> pa.Table:
    """Edges with both ids and no future time; with `before` (microseconds), only those saved before it.

    An edge without saved_at is kept whatever `before` is. Duplicates are found later (`cluster.graph.edges`).
    """
    table = _drop_null_ids(table, ("board_id", "pin_id"), tally)
    table = _drop_future(table, "saved_at", now, tally)
    if before is not None and "saved_at" in table.column_names:
        table = table.filter(pc.fill_null(pc.less(table["saved_at"], moment(before)), True))
    return table


def clean_pins(table: pa.Table, now: int, tally: Tally) -> pa.Table:
    """Pins with an id, each once (first row); non-finite numbers and future creation times become missing."""
    return _clean_nodes(table, "pin_id", now, tally)


def clean_users(table: pa.Table, now: int, tally: Tally) -> pa.Table:
    """Users with an id, each once (first row); non-finite numbers become missing."""
    return _clean_nodes(table, "user_id", now, tally)


def clean_events(
    table: pa.Table, actions: tuple[str, ...], now: int, tally: Tally, before: int | None = None
) -> pa.Table:
    """Events with user, pin, a known action and a time that is not in the future; with `before`, only earlier ones."""
    table = _drop_null_ids(table, ("user_id", "pin_id"), tally)
    table = drop(table, pc.is_null(table["action"]), "action is null", tally)
    for action in pc.unique(table["action"]).to_pylist():
        if action not in actions:
            table = drop(table, pc.equal(table["action"], action), f"action {action!r} is not among `actions`", tally)
    table = drop(table, pc.is_null(table["occurred_at"]), "occurred_at is null", tally)
    table = _drop_future(table, "occurred_at", now, tally)
    if before is not None:
        table = table.filter(pc.less(table["occurred_at"], moment(before)))
    return table


def drop_repeats(table: pa.Table, column: str, what: str, tally: Tally) -> pa.Table:
    """Keeps the first row of each value of `column`; null values are all kept."""
    values = table[column]
    if len(table) < 2 or pc.count_distinct(values, mode="only_valid").as_py() == len(table) - values.null_count:
        return table
    numbered = pa.table({"value": values, "row": pa.array(np.arange(len(table)))})
    firsts = numbered.group_by("value").aggregate([("row", "min")])["row_min"].to_numpy()
    keep = np.zeros(len(table), bool)
    keep[firsts] = True
    keep |= np.asarray(values.is_null())
    return drop(table, pa.array(~keep), what, tally)


def _clean_nodes(table: pa.Table, key: str, now: int, tally: Tally) -> pa.Table:
    table = _drop_null_ids(table, (key,), tally)
    table = drop_repeats(table, key, f"{key} is there twice (the first row is kept)", tally)
    for at, column in enumerate(table.schema):
        if column.name in (FILE, ROW):
            continue
        values = table[column.name]
        if pa.types.is_floating(column.type):
            bad = pc.fill_null(pc.invert(pc.is_finite(values)), False)
            what = f"{column.name} is not a finite number (now missing)"
        elif column.name == "created_at":
            bad = pc.fill_null(pc.greater(values, moment(now + CLOCK_SKEW_US)), False)
            what = "created_at lies in the future (now missing)"
        elif pa.types.is_fixed_size_list(column.type):
            bad = pa.array(~np.isfinite(list_matrix(values, column.type.list_size)).all(axis=1))
            what = f"{column.name} holds a number that is not finite (now missing)"
        else:
            continue
        if count := pc.sum(bad).as_py() or 0:
            tally.changed[what] += count
            tally.met(what, table, np.flatnonzero(np.asarray(bad)))
            kept = values.take(pa.array(np.arange(len(table)), mask=np.asarray(bad)))  # if_else knows no lists
            table = table.set_column(at, column.name, kept)
    return table


def _drop_null_ids(table: pa.Table, names: tuple[str, ...], tally: Tally) -> pa.Table:
    for name in names:
        table = drop(table, pc.is_null(table[name]), f"{name} is null", tally)
        if pa.types.is_string(table.schema.field(name).type):
            table = drop(table, pc.equal(table[name], ""), f"{name} is empty", tally)
    return table


def _drop_future(table: pa.Table, name: str, now: int, tally: Tally) -> pa.Table:
    if name not in table.column_names or table[name].null_count == len(table):
        return table
    return drop(table, pc.greater(table[name], moment(now + CLOCK_SKEW_US)), f"{name} lies in the future", tally)
