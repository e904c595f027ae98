"""Impressions as they come: what is dropped is named and counted, and every event answers what a slow reading says."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.contract.ids import ID_BYTES
from cluster.contract.moments import LAST
from cluster.data.cleaning import CLOCK_SKEW_US, Tally, to_us
from cluster.data.impressions import LAST_POSITION, answered, clean_impressions
from cluster.data.schema import TIMESTAMP, events_columns, impressions_columns
from tests.worlds.inputs import ids_of

NOW = 1_700_000_000 * 10**6
HOUR_US = 3600 * 10**6
HOURS = 2.0
Row = tuple[Any, ...]

POISONED = st.tuples(
    st.sampled_from([None, "", "a", "a", "a", "b", "b", "x" * (ID_BYTES + 1)]),
    st.sampled_from([None, 1, 1, 1, 1, 2]),
    st.sampled_from([None, 0, 1, 2, 3]),
    st.sampled_from([None, -1, 0, 1, 2, 3, LAST_POSITION, LAST_POSITION + 1]),
    st.sampled_from([None, -5, 10, 10, 10, 10, 20, NOW + CLOCK_SKEW_US, NOW + CLOCK_SKEW_US + 1, 5 * NOW]),
    st.sampled_from([None, "feed", "feed", "mail"]),
)
"""A row of impressions with anything wrong in it, in the order of the contract's columns but the time before last."""


def table_of(rows: list[Row], kind: str = "int64") -> pa.Table:
    """Rows (request, user, pin, position, microseconds, client) as a table of the contract."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    types = {column.name: column.type for column in impressions_columns(kind)}

    def ids(values: Any) -> pa.Array:
        known = ids_of([0 if value is None else value for value in values], kind)
        return known.take(pa.array([None if v is None else i for i, v in enumerate(values)], pa.int64()))

    return pa.table(
        {
            "request_id": pa.array(columns[0], types["request_id"]),
            "user_id": ids(columns[1]),
            "pin_id": ids(columns[2]),
            "position": pa.array(columns[3], types["position"]),
            "shown_at": pa.array(columns[4], pa.int64()).cast(TIMESTAMP),
            "client": pa.array(columns[5], types["client"]),
        }
    )


def fault(row: Row) -> str | None:
    """What is wrong with a row by itself."""
    request, user, pin, position, at, _ = row
    for name, value in (("request_id", request), ("user_id", user), ("pin_id", pin)):
        if value is None:
            return f"{name} is null"
        if value == "":
            return f"{name} is empty"
        if isinstance(value, str) and len(value) > ID_BYTES:
            return f"{name} is longer than {ID_BYTES} bytes"
    if at is None:
        return "shown_at is null"
    if at < 0 or at >= to_us(LAST):
        return "shown_at lies outside the years 1970 to 2099"
    if at > NOW + CLOCK_SKEW_US:
        return "shown_at lies in the future"
    if position is None:
        return "position is null"
    if position < 0:
        return "position is negative"
    return f"position is beyond {LAST_POSITION:,}" if position > LAST_POSITION else None


def slowly(rows: list[Row]) -> tuple[list[Row], Counter[str]]:
    """The rows that count, and why the others do not."""
    dropped: Counter[str] = Counter()

    def without(rows: list[Row], reasons: list[str | None]) -> list[Row]:
        dropped.update(reason for reason in reasons if reason)
        return [row for row, reason in zip(rows, reasons, strict=True) if not reason]

    rows = without(rows, [fault(row) for row in rows])
    for name, at in (("user_id", 1), ("shown_at", 4), ("client", 5)):
        torn = {row[0] for row in rows for other in rows if row[0] == other[0] and row[at] != other[at]}
        rows = without(rows, [f"{name} is not the same in the whole request" if r[0] in torn else None for r in rows])
    best: dict[Any, tuple[int, int]] = {}
    for i, row in enumerate(rows):
        best[row[0], row[2]] = min(best.get((row[0], row[2]), (row[3], i)), (row[3], i))
    kept = {i for _, i in best.values()}
    twice = "pin_id is there twice in its request (its first position is kept)"
    rows = without(rows, [None if i in kept else twice for i in range(len(rows))])
    seen: set[Any] = set()
    reasons: list[str | None] = []
    for row in rows:
        taken = (row[0], row[3]) in seen
        reasons.append("position is taken in its request already (the first row is kept)" if taken else None)
        seen.add((row[0], row[3]))
    return without(rows, reasons), dropped


@pytest.mark.fuzz
@given(st.lists(POISONED, max_size=14), st.sampled_from(["int64", "string"]))
def test_what_is_dropped_is_what_a_plain_loop_drops_for_the_same_reasons(rows: list[Row], kind: str) -> None:
    tally = Tally()
    clean = clean_impressions(table_of(rows, kind), NOW, tally)
    wanted, dropped = slowly(rows)
    assert clean.equals(table_of(wanted, kind))
    assert tally.dropped == dropped
    assert len(clean) + sum(tally.dropped.values()) == len(rows)
    assert clean_impressions(clean, NOW, Tally()).equals(clean)


def events_of(rows: list[Row], kind: str) -> pa.Table:
    """Rows (request, user, pin, microseconds) as events."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    made = {
        "request_id": pa.array(columns[0], pa.string()),
        "user_id": ids_of(np.array(columns[1], np.int64), kind),
        "pin_id": ids_of(np.array(columns[2], np.int64), kind),
        "occurred_at": pa.array(columns[3], pa.int64()).cast(TIMESTAMP),
    }
    schema = pa.schema([(c.name, c.type) for c in events_columns(kind)])
    return pa.table({f.name: made.get(f.name, pa.nulls(len(rows), f.type)) for f in schema}, schema=schema)


TIME = st.integers(0, 12).map(lambda quarter: quarter * HOUR_US // 4)
REQUESTS = st.lists(st.tuples(st.integers(0, 2), TIME, st.sets(st.integers(0, 4), min_size=1)), max_size=6)
EVENTS = st.lists(
    st.tuples(st.sampled_from([None, None, None, "", "r0", "r1", "gone"]), st.integers(0, 2), st.integers(0, 5), TIME),
    max_size=12,
)


@pytest.mark.fuzz
@given(REQUESTS, EVENTS, st.sampled_from(["int64", "string"]))
def test_every_event_answers_the_request_that_a_slow_reading_finds(
    requests: list[tuple[int, int, set[int]]], events: list[Row], kind: str
) -> None:
    rows = [
        (f"r{i}", user, pin, position, at, None)
        for i, (user, at, pins) in enumerate(requests)
        for position, pin in enumerate(sorted(pins))
    ]
    impressions = table_of(rows, kind)
    wanted = []
    for name, user, pin, at in events:
        found = None
        if name:
            found = next((r[0] for r in rows if r[:2] == (name, user) and at - r[4] <= HOURS * HOUR_US), None)
        else:
            before = [r for r in rows if r[1:3] == (user, pin) and 0 <= at - r[4] <= HOURS * HOUR_US]
            found = max(before, key=lambda r: (r[4], rows.index(r)))[0] if before else None
        wanted.append(found)
    row = answered(events_of(events, kind), impressions, HOURS)
    assert [None if at < 0 else rows[at][0] for at in row.tolist()] == wanted


def test_a_click_at_the_very_moment_counts_and_one_before_does_not() -> None:
    impressions = table_of([("r", 1, 7, 0, 100, None)])
    at = [99, 100, 100 + int(HOURS * HOUR_US), 101 + int(HOURS * HOUR_US)]
    assert answered(events_of([(None, 1, 7, t) for t in at], "int64"), impressions, HOURS).tolist() == [-1, 0, 0, -1]
