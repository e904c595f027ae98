"""Impressions are held against the contract, the graph, the events and the clients, and each fault is named."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cluster.data.impressions import LAST_POSITION
from cluster.settings.clients import Client
from cluster.validate.checks.impressions import NEVER_ANSWERED, STRANGERS
from cluster.validate.validation import validate
from tests.unit.cluster.validate.faulty import FUTURE, check, clean_tables, only, spoiled
from tests.worlds.inputs import FEATURES, START_US, times_of, write_project

MINUTE_US = 60 * 10**6
SHOWN = 60


def shown_tables() -> dict[str, pa.Table]:
    """Inputs without a fault: the first events answer requests of two pins each, of which they named every other."""
    tables = clean_tables()
    events = tables["events"]
    tables["events"] = events.append_column(
        "request_id", pa.array([f"r{i}" if i < SHOWN and i % 2 else None for i in range(len(events))], pa.string())
    )
    acted = events.slice(0, SHOWN)
    at = times_of(acted["occurred_at"].cast(pa.int64()).to_numpy() - MINUTE_US)
    pins = tables["edges"]["pin_id"].unique().to_pylist()
    others = [next(pin for pin in pins if pin != one) for one in acted["pin_id"].to_pylist()]
    columns = {
        "request_id": pa.array([f"r{i}" for i in range(SHOWN)]),
        "user_id": acted["user_id"],
        "pin_id": acted["pin_id"],
        "position": pa.array([0] * SHOWN),
        "shown_at": at,
        "client": pa.array(["homefeed"] * SHOWN),
    }
    first = pa.table(columns)
    second = pa.table(columns | {"pin_id": pa.array(others), "position": pa.array([1] * SHOWN)})
    tables["impressions"] = pa.concat_tables([first, second.cast(first.schema)]).combine_chunks()
    return tables


def test_impressions_without_a_fault_say_how_many_events_answer_them(tmp_path: Path) -> None:
    tables = shown_tables()
    report = check(tmp_path, tables)
    assert report.ok
    assert not report.tables["impressions"].findings
    assert not report.tables["events"].findings  # the requests that they name are known
    assert report.tables["impressions"].used == 2 * SHOWN
    answers = f"{SHOWN} of {len(tables['events'])} events answer one of {SHOWN} requests"
    assert report.tables["impressions"].remark == answers
    assert answers in report.text()


@pytest.mark.parametrize(
    ("column", "value", "says", "count"),
    [
        ("request_id", None, "request_id is null", 1),
        ("request_id", "", "request_id is empty", 1),
        ("user_id", None, "user_id is null", 1),
        ("pin_id", None, "pin_id is null", 1),
        ("pin_id", 10**6, "pin_id is not in the graph", 1),
        ("position", None, "position is null", 1),
        ("position", -1, "position is negative", 1),
        ("position", LAST_POSITION + 1, f"position is beyond {LAST_POSITION:,}", 1),
        ("position", 1, "position is taken in its request already (the first row is kept)", 1),
        ("shown_at", None, "shown_at is null", 1),
        ("shown_at", "tomorrow", "shown_at lies in the future", 1),
        ("shown_at", "long ago", "shown_at is not the same in the whole request", 2),
        ("client", "search", "client is not the same in the whole request", 2),
    ],
)
def test_a_row_that_does_not_count_is_named(tmp_path: Path, column: str, value: Any, says: str, count: int) -> None:
    tables = shown_tables()
    times = dict(zip(("tomorrow", "long ago"), times_of([FUTURE, START_US]).to_pylist(), strict=True))
    value = times.get(value, value)
    tables["impressions"] = spoiled(tables["impressions"], column, 3, value)
    report = check(tmp_path, tables, files=1)
    found = [f for f in report.tables["impressions"].findings if f.what == says]
    assert [(f.kind, f.count, f.column) for f in found] == [("dropped", count, column)], report.text()
    assert found[0].row == (SHOWN + 3 if "already" in says else 3)
    assert found[0].fix != "leave it so, or correct the rows"
    assert report.tables["impressions"].used == 2 * SHOWN - count


def test_rows_that_were_written_twice_count_once_and_are_no_loss(tmp_path: Path) -> None:
    tables = shown_tables()
    tables["impressions"] = pa.concat_tables([tables["impressions"]] * 2)
    finding = only(check(tmp_path, tables), "impressions")
    twice = "pin_id is there twice in its request (its first position is kept)"
    assert (finding.kind, finding.what, finding.count) == ("dropped", twice, 2 * SHOWN)


def test_a_request_of_two_users_is_not_used_at_all(tmp_path: Path) -> None:
    tables = shown_tables()
    users = tables["impressions"]["user_id"].to_pylist()
    other = next(user for user in users if user != users[0])
    tables["impressions"] = spoiled(tables["impressions"], "user_id", 0, other)
    finding = check(tmp_path, tables).tables["impressions"].findings[0]
    assert (finding.what, finding.count) == ("user_id is not the same in the whole request", 2)


def test_impressions_that_no_event_answers_are_an_error(tmp_path: Path) -> None:
    tables = shown_tables()
    tables["events"] = tables["events"].drop_columns("request_id")
    late = pc.add(tables["impressions"]["shown_at"].cast(pa.int64()), 3 * MINUTE_US)
    at = tables["impressions"].column_names.index("shown_at")
    tables["impressions"] = tables["impressions"].set_column(at, "shown_at", times_of(late.to_numpy()))
    report = check(tmp_path, tables)
    assert [(f.table, f.what) for f in report.errors] == [("impressions", NEVER_ANSWERED)]


def test_users_without_events_and_clients_without_a_file_are_noted(tmp_path: Path) -> None:
    tables = shown_tables()
    shown = tables["impressions"]
    more = pa.table({**dict(zip(shown.column_names, shown.slice(0, 2).columns, strict=True))})
    more = spoiled(spoiled(more, "user_id", 0, 10**6), "user_id", 1, 10**6)
    more = spoiled(spoiled(more, "request_id", 0, "x"), "request_id", 1, "y")
    more = spoiled(spoiled(more, "client", 0, "letter"), "client", 1, None)
    tables["impressions"] = pa.concat_tables([shown, more])
    project = write_project(tmp_path, tables, features=FEATURES)
    clients = {"homefeed": Client(name="homefeed", labels={"action_weights": {"save": 1.0}}, utility={"save": 1.0})}  # type: ignore[arg-type]
    report = validate(project, clients=clients)
    noted = {f.what: f.count for f in report.tables["impressions"].findings}
    assert noted == {STRANGERS: 2, "client 'letter' has no client file (its impressions are not replayed)": 1}


def test_impressions_of_unknown_pins_only_are_an_error(tmp_path: Path) -> None:
    tables = shown_tables()
    shown = tables["impressions"]
    pins = pc.add(shown["pin_id"], 10**7)
    tables["impressions"] = shown.set_column(shown.column_names.index("pin_id"), "pin_id", pins)
    report = check(tmp_path, tables)
    assert "no impression is left" in report.errors[0].what
    assert f"dropped {2 * SHOWN}: pin_id is not in the graph" in report.text()
