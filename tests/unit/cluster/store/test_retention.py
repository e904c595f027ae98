"""Days that are too old go, and nothing that is younger, whatever the clock says of the hour."""

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.data.schema import event_schema
from cluster.store.logs import LogStore
from cluster.store.retention import expire

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def events(moments: list[datetime]) -> pa.Table:
    rows = [
        {
            "user_id": 1,
            "pin_id": at,
            "action": "save",
            "occurred_at": moment,
            "event_id": str(at),
            "received_at": moment,
        }
        for at, moment in enumerate(moments)
    ]
    return pa.Table.from_pylist(rows, event_schema("int64"))


@given(
    hours=st.lists(st.integers(0, 24 * 40), min_size=1, max_size=8),
    keep=st.integers(1, 30),
    zone=st.integers(-12, 12),
    hour=st.integers(0, 23),
)
def test_nothing_younger_is_lost_and_nothing_a_day_older_stays(
    tmp_path_factory: pytest.TempPathFactory, hours: list[int], keep: int, zone: int, hour: int
) -> None:
    logs = LogStore(tmp_path_factory.mktemp("logs"))
    now = NOW.replace(hour=hour)
    moments = [now - timedelta(hours=each) for each in hours]
    logs.write_events(events(moments))
    expire(logs.root, keep, now.astimezone(timezone(timedelta(hours=zone))))
    table, _ = logs.read_events()
    stay = set(table["occurred_at"].to_pylist()) if len(table) else set()
    assert {moment for moment in moments if now - moment <= timedelta(days=keep)} <= stay
    assert all(now - moment < timedelta(days=keep + 1) for moment in stay)


def test_merged_replaced_and_half_written_files_go_with_their_day(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    for _ in range(2):
        logs.write_events(events([NOW - timedelta(days=20), NOW]))
    logs.compact("2026-02-18")
    old = tmp_path / "events" / "date=2026-02-18"
    (old / ".x.writing").write_bytes(b"torn")
    (tmp_path / "events" / "date=else").mkdir()
    assert expire(tmp_path, 10, NOW) == 4
    assert not old.exists()
    assert (tmp_path / "events" / "date=else").exists()
    assert expire(tmp_path, 10, NOW) == 0
    assert len(logs.event_files().files) == 2


def test_what_was_set_aside_goes_by_its_age(tmp_path: Path) -> None:
    folder = tmp_path / "quarantine"
    folder.mkdir()
    for name, days in (("old", 12), ("new", 9)):
        path = folder / f"{name}.jsonl"
        path.write_text("{}\n")
        moment = (NOW - timedelta(days=days)).timestamp()
        os.utime(path, (moment, moment))
    assert expire(tmp_path, 10, NOW) == 1
    assert [path.name for path in folder.iterdir()] == ["new.jsonl"]
