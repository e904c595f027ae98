"""The durable event log: acknowledged means on disk, through kill -9, torn lines and repeated deliveries."""

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cluster.settings.project import DEFAULT_ACTIONS
from cluster.store.logs import LogStore
from serving.logs.events import EventLog


def event(name: str, **changes: Any) -> dict[str, Any]:
    moment = datetime.now(UTC) - timedelta(hours=1)
    fields = {"event_id": name, "user_id": 1, "pin_id": 2, "action": "save", "client": "homefeed", "request_id": "r"}
    return {**fields, "occurred_at": moment, **changes}


def open_log(folder: Path, **options: Any) -> EventLog:
    return EventLog(folder / "wal", LogStore(folder / "logs"), "int64", DEFAULT_ACTIONS, **options)


def stored(folder: Path) -> list[str]:
    table, _ = LogStore(folder / "logs").read_events()
    return sorted(table["event_id"].to_pylist())


def test_events_reach_parquet_once(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert log.append([event("a"), event("b")]).accepted == 2
    assert log.append([event("a")]).accepted == 1
    assert log.flush() == 2
    assert log.flush() == 0
    assert stored(tmp_path) == ["a", "b"]
    assert list((tmp_path / "wal").iterdir()) == []


def test_refused_events_say_why_and_the_others_are_kept(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    later = datetime.now(UTC) + timedelta(days=1)
    receipt = log.append(
        [
            event("ok"),
            event("action", action="applaud"),
            event("id", user_id="text"),
            event("zone", occurred_at=datetime(2026, 1, 1)),
            event("future", occurred_at=later),
        ]
    )
    assert receipt.accepted == 1
    reasons = {r["event_id"]: r["reason"] for r in receipt.refused}
    assert "unknown action 'applaud'" in reasons["action"]
    assert "user_id: expected int64" in reasons["id"]
    assert "no time zone" in reasons["zone"]
    assert "in the future" in reasons["future"]
    log.flush()
    assert stored(tmp_path) == ["ok"]


def test_simulated_time_may_be_in_the_future(tmp_path: Path) -> None:
    log = open_log(tmp_path, check_clock=False)
    assert log.append([event("x", occurred_at=datetime.now(UTC) + timedelta(days=400))]).accepted == 1


def test_recent_actions_come_newest_first_and_bounded(tmp_path: Path) -> None:
    log = open_log(tmp_path, remember=3)
    base = datetime.now(UTC) - timedelta(days=1)
    log.append([event(f"e{i}", pin_id=i, occurred_at=base + timedelta(minutes=i)) for i in range(5)])
    assert log.recent(1).pin_ids.tolist() == [4, 3, 2]
    assert len(log.recent(42).pin_ids) == 0
    assert len(log.recent(None).pin_ids) == 0


def test_kill_9_loses_no_acknowledged_event(tmp_path: Path) -> None:
    code = f"""
        from datetime import UTC, datetime
        from cluster.store.logs import LogStore
        from serving.logs.events import EventLog
        log = EventLog({str(tmp_path / "wal")!r}, LogStore({str(tmp_path / "logs")!r}), "int64", ("save",))
        at = 0
        while True:
            log.append([dict(event_id=str(at), user_id=1, pin_id=at, action="save", occurred_at=datetime.now(UTC))])
            print(at, flush=True)
            at += 1
            if at % 50 == 0:
                log.flush()
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(130)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += child.stdout.read().split()
    child.stdout.close()
    child.wait()
    log = open_log(tmp_path)
    assert set(acknowledged) <= set(stored(tmp_path))
    assert log.recent(1).pin_ids[0] >= int(acknowledged[-1]) - 50


def test_a_torn_last_line_is_dropped_and_the_rest_recovered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = open_log(tmp_path)
    log.append([event("a"), event("b")])
    file = next((tmp_path / "wal").iterdir())
    file.write_bytes(file.read_bytes() + b'{"event_id": "c", "us')
    log = open_log(tmp_path)
    assert stored(tmp_path) == ["a", "b"]
    assert "torn line" in caplog.text
    assert log.append([event("a")]).accepted == 1
    assert log.flush() == 0
