"""Which rows of an input count: the one definition that validation, the in-memory build and the Ray build share.

Edges, pins and users here; `events.py` and `impressions.py` have the rules of theirs.
Every dropped or changed value is counted under a sentence that says what was wrong. Knows nothing of files or Ray.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.contract.ids import ID_BYTES
from cluster.contract.moments import FIRST, LAST
from cluster.data.casting import list_matrix
from cluster.data.schema import TIMESTAMP

CLOCK_SKEW_US = 5 * 60 * 10**6
"""A timestamp may run ahead of this machine's clock by so much before it counts as in the future."""

INSANE = f"lies outside the years {FIRST.year} to {LAST.year - 1}"

URL = r"^https://[^\s\"'<>\\]+$"
URL_BYTES = 2048
"""An address that a browser fetches a picture from."""

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
        """Notes where the first of `rows` (indices into `table`) came from as the first of `what`."""
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
    table = drop_bad_ids(table, ("board_id", "pin_id"), tally)
    table = _sane_times(table, "saved_at", tally)
    table = _drop_future(table, "saved_at", now, tally)
    if before is not None and "saved_at" in table.column_names:
        table = table.filter(pc.fill_null(pc.less(table["saved_at"], moment(before)), True))
    return table


def clean_pins(table: pa.Table, now: int, tally: Tally) -> pa.Table:
    """Pins with an id, each once (see `newest_of_each`); non-finite numbers and impossible times become missing."""
    return _clean_nodes(table, "pin_id", now, tally)


def clean_users(table: pa.Table, now: int, tally: Tally) -> pa.Table:
    """Users with an id, each once (see `newest_of_each`); non-finite numbers become missing."""
    return _clean_nodes(table, "user_id", now, tally)


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


def newest_of_each(table: pa.Table, key: str, tally: Tally) -> pa.Table:
    """One row of each value of `key`, in the order of the rows kept: the newest by `updated_at`, else the last.

    Tables of items often come as snapshots, one after the other: the state that was written last is the one that holds.
    Rows without `updated_at` are older than all with it.
    """
    if len(table) < 2 or pc.count_distinct(table[key], mode="only_valid").as_py() == len(table):
        return table
    age = np.arange(len(table))
    rule = "the last row is kept"
    if "updated_at" in table.column_names and table["updated_at"].null_count < len(table):
        rule = "the newest by updated_at is kept"
        moments = table["updated_at"].cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
        age[np.lexsort((np.arange(len(table)), moments))] = np.arange(len(table))
    newest = pa.table({"key": table[key], "age": pa.array(age)}).group_by("key").aggregate([("age", "max")])
    keep = np.isin(age, newest["age_max"].to_numpy())
    return drop(table, pa.array(~keep), f"{key} is there more than once ({rule})", tally)


def _clean_nodes(table: pa.Table, key: str, now: int, tally: Tally) -> pa.Table:
    table = drop_bad_ids(table, (key,), tally)
    table = newest_of_each(table, key, tally)
    for column in table.schema:
        if pa.types.is_timestamp(column.type) and column.name != "updated_at":
            table = _sane_times(table, column.name, tally)
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
        elif column.name == "image_url":
            long = pc.greater(pc.binary_length(values), URL_BYTES)
            bad = pc.fill_null(pc.or_(pc.invert(pc.match_substring_regex(values, URL)), long), False)
            what = f"image_url is no https address of at most {URL_BYTES} bytes (now missing)"
        else:
            continue
        if count := pc.sum(bad).as_py() or 0:
            tally.changed[what] += count
            tally.met(what, table, np.flatnonzero(np.asarray(bad)))
            kept = values.take(pa.array(np.arange(len(table)), mask=np.asarray(bad)))  # if_else knows no lists
            table = table.set_column(at, column.name, kept)
    return table


def drop_bad_times(table: pa.Table, name: str, now: int, tally: Tally) -> pa.Table:
    """Rows with a time in the column `name` that can be, and is not after `now` (microseconds)."""
    table = drop(table, pc.is_null(table[name]), f"{name} is null", tally)
    table = drop(table, _insane(table[name]), f"{name} {INSANE}", tally)
    return _drop_future(table, name, now, tally)


def drop_bad_ids(table: pa.Table, names: tuple[str, ...], tally: Tally) -> pa.Table:
    """Rows with an id in each of the columns `names`."""
    for name in names:
        table = drop(table, pc.is_null(table[name]), f"{name} is null", tally)
        if pa.types.is_string(table.schema.field(name).type):
            table = drop(table, pc.equal(table[name], ""), f"{name} is empty", tally)
            long = pc.greater(pc.binary_length(table[name]), ID_BYTES)
            table = drop(table, long, f"{name} is longer than {ID_BYTES} bytes", tally)
    return table


def _insane(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Marks times that are a mistake of units or a default value."""
    return pc.or_(pc.less(moments, moment(to_us(FIRST))), pc.greater_equal(moments, moment(to_us(LAST))))


def _sane_times(table: pa.Table, name: str, tally: Tally) -> pa.Table:
    """Impossible times of an optional column become missing."""
    if name not in table.column_names:
        return table
    bad = np.asarray(pc.fill_null(_insane(table[name]), False))
    if not bad.any():
        return table
    what = f"{name} {INSANE} (now missing)"
    tally.changed[what] += int(bad.sum())
    tally.met(what, table, np.flatnonzero(bad))
    kept = pc.if_else(pa.array(bad), pa.scalar(None, TIMESTAMP), table[name])
    return table.set_column(table.column_names.index(name), name, kept)


def _drop_future(table: pa.Table, name: str, now: int, tally: Tally) -> pa.Table:
    if name not in table.column_names or table[name].null_count == len(table):
        return table
    return drop(table, pc.greater(table[name], moment(now + CLOCK_SKEW_US)), f"{name} lies in the future", tally)
