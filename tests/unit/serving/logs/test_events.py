"""The durable event log: acknowledged means on disk, through kill -9, torn lines and repeated deliveries."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.contract.moments import MomentContract
from cluster.errors import ConfigError
from cluster.settings.project import DEFAULT_ACTIONS
from cluster.store.logs import LogStore
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.owned_folder import OwnedFolder
from serving.logs.user_state import UserStates
from serving.logs.wal import HEAD, MAGIC
from tests.worlds.fuzz import examples


def event(name: str, **changes: Any) -> dict[str, Any]:
    moment = datetime.now(UTC) - timedelta(hours=1)
    fields = {"event_id": name, "user_id": 1, "pin_id": 2, "action": "save", "client": "homefeed", "request_id": "r"}
    return {**fields, "occurred_at": moment, **changes}


OPENED: list[EventLog] = []


@pytest.fixture(autouse=True)
def _no_file_stays_open() -> Iterator[None]:
    yield
    while OPENED:
        crash(OPENED.pop())


def open_log(folder: Path, live: bool = True, ids: Any = "int64", **states: Any) -> EventLog:
    window = MomentContract(timedelta(days=90), live)
    log = EventLog(
        OwnedFolder(folder / "wal"),
        LogStore(folder / "logs"),
        EventContract.of(ids, DEFAULT_ACTIONS, window),
        UserStates(("hide",), **states),
    )
    OPENED.append(log)
    return log


def crash(log: EventLog) -> None:
    """What a killed process does: its files stay as they are, and the kernel lets go of its lock."""
    log._waiting.close()
    log._folder.release()


def write_ahead(folder: Path) -> list[Path]:
    return sorted((folder / "wal").glob("events-*"))


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
    assert write_ahead(tmp_path) == []


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
    reasons = {r.event_id: r.reason for r in receipt.refused}
    assert "unknown action 'applaud'" in reasons["action"]
    assert "user_id: ids of this project are int64" in reasons["id"]
    assert "no time zone" in reasons["zone"]
    assert "in the future" in reasons["future"]
    log.flush()
    assert stored(tmp_path) == ["ok"]


def test_simulated_time_may_be_in_the_future(tmp_path: Path) -> None:
    log = open_log(tmp_path, live=False)
    assert log.append([event("x", occurred_at=datetime.now(UTC) + timedelta(days=400))]).accepted == 1


def test_recent_actions_come_newest_first_and_bounded(tmp_path: Path) -> None:
    log = open_log(tmp_path, remember=3)
    base = datetime.now(UTC) - timedelta(days=1)
    log.append([event(f"e{i}", pin_id=i, occurred_at=base + timedelta(minutes=i)) for i in range(5)])
    assert log.state(1).recents.pin_ids.tolist() == [4, 3, 2]
    assert len(log.state(42).recents.pin_ids) == 0
    assert len(log.state(None).recents.pin_ids) == 0


def test_kill_9_loses_no_acknowledged_event(tmp_path: Path) -> None:
    code = f"""
        from datetime import UTC, datetime
        from pathlib import Path
        from tests.unit.serving.logs.test_events import open_log
        log = open_log(Path({str(tmp_path)!r}))
        at = 0
        while True:
            log.append([dict(event_id=str(at), user_id=1, pin_id=at, action="save", occurred_at=datetime.now(UTC))])
            print(at, flush=True)
            at += 1
            if at % 50 == 0:
                log.flush()
    """
    root = Path(__file__).parents[4]
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd=root)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(130)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += child.stdout.read().split()
    child.stdout.close()
    child.wait()
    log = open_log(tmp_path)
    assert set(acknowledged) <= set(stored(tmp_path))
    assert log.state(1).recents.pin_ids[0] >= int(acknowledged[-1]) - 50


@pytest.mark.parametrize("cut", [1, 7, 9, 40])
def test_a_torn_last_frame_is_dropped_and_the_rest_recovered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    log = open_log(tmp_path)
    log.append([event("a"), event("b")])
    (file,) = write_ahead(tmp_path)
    whole = file.read_bytes()
    log.append([event("c")])
    crash(log)
    file.write_bytes(file.read_bytes()[: len(whole) + cut])
    log = open_log(tmp_path)
    assert stored(tmp_path) == ["a", "b"]
    assert "torn bytes" in caplog.text
    assert log.health().counters["torn_bytes"] == cut
    assert log.health().counters["recovered"] == 2
    assert log.append([event("a")]).accepted == 1
    assert log.flush() == 0


def test_a_flipped_bit_ends_what_is_read_of_a_file(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append([event("a")])
    (file,) = write_ahead(tmp_path)
    end = len(file.read_bytes())
    log.append([event("b")])
    crash(log)
    data = bytearray(file.read_bytes())
    data[end + 20] ^= 1
    file.write_bytes(bytes(data))
    open_log(tmp_path)
    assert stored(tmp_path) == ["a"]


def test_files_of_version_0_1_are_recovered(tmp_path: Path) -> None:
    row = {**event("old"), "occurred_at": datetime.now(UTC).isoformat(), "received_at": datetime.now(UTC).isoformat()}
    (tmp_path / "wal").mkdir()
    (tmp_path / "wal" / "events-1.jsonl").write_text(json.dumps(row) + "\n" + '{"event_id": "torn')
    log = open_log(tmp_path)
    assert stored(tmp_path) == ["old"]
    assert log.state(1).recents.pin_ids.tolist() == [2]
    assert write_ahead(tmp_path) == []


def test_a_full_disk_tears_no_later_event(tmp_path: Path) -> None:
    """A write that fails half way is cut off: what is acknowledged next stands alone (a limit on the file's size)."""
    code = f"""
        import resource, signal
        from pathlib import Path
        from tests.unit.serving.logs.test_events import event, open_log
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        log = open_log(Path({str(tmp_path)!r}))
        log.append([event("first")])
        size = next(Path({str(tmp_path / "wal")!r}).glob("events-*")).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
        for i in range(3):
            try:
                log.append([event("refused", request_id="x" * 120)])
                print("acknowledged a batch that does not fit")
            except OSError:
                pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        log.append([event("last")])
        import os
        os._exit(9)
    """
    root = Path(__file__).parents[4]
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=root)
    assert (ran.returncode, ran.stdout) == (9, ""), ran.stderr
    log = open_log(tmp_path)
    assert stored(tmp_path) == ["first", "last"]
    assert log.health().counters["torn_bytes"] == 0


def test_one_writer_only(tmp_path: Path) -> None:
    first = open_log(tmp_path)
    first.append([event("a")])
    with pytest.raises(ConfigError, match=f"another server writes this event log .process {os.getpid()}"):
        open_log(tmp_path)
    first.append([event("b")])
    first.close()
    open_log(tmp_path)
    assert stored(tmp_path) == ["a", "b"]


POISON: dict[str, dict[str, Any]] = {
    "large": {"pin_id": 2**70},
    "small": {"user_id": -(2**63) - 1},
    "bool": {"user_id": True},
    "float": {"pin_id": 5.0},
    "null": {"pin_id": None},
    "text": {"user_id": "alice"},
    "surrogate client": {"client": "\ud800"},
    "surrogate request": {"request_id": "a\udfff"},
    "surrogate event": {"event_id": "\udc80"},
    "long request": {"request_id": "x" * 1_000_000},
    "long client": {"client": "é" * 40},
    "year 1": {"occurred_at": datetime(1, 1, 1, tzinfo=UTC)},
    "year 9999": {"occurred_at": datetime(9999, 12, 31, tzinfo=UTC)},
    "last year": {"occurred_at": datetime.now(UTC) - timedelta(days=400)},
    "number action": {"action": 5},
    "no moment": {"occurred_at": "yesterday"},
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_poisoned_event_is_refused_alone_and_named(tmp_path: Path, poison: dict[str, Any]) -> None:
    log = open_log(tmp_path)
    receipt = log.append([event("before"), event("bad", **poison), event("after")])
    assert receipt.accepted == 2
    (refused,) = receipt.refused
    (field,) = poison
    assert refused.row == 1
    assert refused.reason.startswith(f"{field}: ")
    assert len(refused.reason) < 300
    assert refused.reason.isascii()
    assert log.flush() == 2
    log.close()
    assert stored(tmp_path) == ["after", "before"]
    open_log(tmp_path)


@pytest.mark.fuzz
@given(st.data())
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_the_good_events_reach_parquet(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Any value in any field: acknowledged means stored, refused means named, and the next start works."""
    folder = tmp_path_factory.mktemp("log")
    ids = data.draw(st.sampled_from(["int64", "string"]))
    anything = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=300), st.datetimes(),
        st.datetimes(timezones=st.just(UTC)), st.binary(max_size=5),
    )  # fmt: skip
    good = {"int64": (1, 2), "string": ("u", "p")}[ids]
    events = []
    for i in range(data.draw(st.integers(1, 5))):
        fields = event(f"e{i}", user_id=good[0], pin_id=good[1])
        changed = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), anything, max_size=2))
        events.append({**fields, **changed})
    log = open_log(folder, ids=ids)
    receipt = log.append(events)
    assert receipt.accepted + len(receipt.refused) == len(events)
    log.flush()
    log.close()
    table, _ = LogStore(folder / "logs").read_events()
    refused = len(receipt.refused)
    kept = {e["event_id"] for e in events if e["event_id"] in set(table["event_id"].to_pylist() if len(table) else [])}
    assert len(events) - refused >= len(kept)
    assert not list((folder / "logs" / "quarantine").glob("*")), "what is acknowledged can be stored"
    if refused < len(events):
        assert kept
    open_log(folder, ids=ids).close()


def test_rows_that_an_older_version_took_are_set_aside_and_the_rest_is_stored(tmp_path: Path) -> None:
    moment = datetime.now(UTC).isoformat()
    good = {**event("good"), "occurred_at": moment, "received_at": moment}
    bad = [
        {**good, "event_id": "large", "pin_id": 2**70},
        {**good, "event_id": "surrogate", "client": "\ud800"},
        {**good, "event_id": "year 1", "occurred_at": "0001-01-01T00:00:00+00:00"},
        {"event_id": "half"},
    ]
    (tmp_path / "wal").mkdir()
    (tmp_path / "wal" / "events-1.jsonl").write_text("\n".join(json.dumps(row) for row in [*bad, good]) + "\n")
    log = open_log(tmp_path)
    assert stored(tmp_path) == ["good"]
    assert log.health().counters["quarantined"] == 4
    (file,) = (tmp_path / "logs" / "quarantine").iterdir()
    set_aside = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["row"]["event_id"] for line in set_aside] == ["large", "surrogate", "year 1", "half"]
    assert all(line["reason"] for line in set_aside)


def test_a_disk_that_refuses_is_tried_again_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    log.append([event("a")])
    with monkeypatch.context() as full:
        full.setattr(LogStore, "write_events", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space"):
            log.flush()
        assert log.flush(patient=True) == 0, "a patient call waits before it tries again"
        log.append([event("b")])
    assert log.health().counters["flush_failures"] == 1
    assert "No space" in log.health().counters["last_error"]
    assert log.health().counters["waiting"] == 2
    assert log.flush() == 2
    assert log.health().counters["last_error"] == ""
    assert stored(tmp_path) == ["a", "b"]
    assert write_ahead(tmp_path) == []


def test_a_disk_that_stays_full_over_a_restart_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    log.append([event("a")])
    crash(log)
    with monkeypatch.context() as full:
        full.setattr(LogStore, "write_events", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        log = open_log(tmp_path)
        assert log.state(1).recents.pin_ids.tolist() == [2]
        log.close()
    open_log(tmp_path)
    assert stored(tmp_path) == ["a"]


def test_what_a_user_did_and_hid_survives_restarts(tmp_path: Path) -> None:
    base = datetime.now(UTC) - timedelta(days=1)
    log = open_log(tmp_path, remember=3)
    log.append([event("h", pin_id=7, action="hide", occurred_at=base)])
    log.append([event(f"e{i}", pin_id=i, occurred_at=base + timedelta(minutes=1 + i)) for i in range(100, 200)])
    log.append([event("other", user_id=5, pin_id=1)])
    log.close()
    log = open_log(tmp_path, remember=3)
    assert log.state(1).recents.pin_ids.tolist() == [199, 198, 197]
    assert log.state(1).hidden == (7,), "a hundred clicks later, and after a restart"
    assert log.state(5).hidden == log.state(None).hidden == ()
    log.append([event("h2", pin_id=8, action="hide", occurred_at=base + timedelta(hours=5))])
    assert log.state(1).hidden == (8, 7)
    assert log.state(1).recents.pin_ids.tolist() == [8, 199, 198]
    assert log.append([event("h2", pin_id=8, action="hide")]).accepted == 1
    assert log.state(1).recents.pin_ids.tolist() == [8, 199, 198], "the id of a stored event is known after a restart"


def test_hidden_pins_are_bounded_by_the_setting(tmp_path: Path) -> None:
    log = open_log(tmp_path, hidden=2)
    for i in range(4):
        log.append([event(f"h{i}", pin_id=i, action="hide")])
    assert log.state(1).hidden == (3, 2)
    log.close()
    assert open_log(tmp_path, hidden=2).state(1).hidden == (3, 2)


def test_events_of_one_moment_keep_the_order_they_came_in(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    log = open_log(tmp_path, live=False)
    log.append([event(f"e{i}", pin_id=pin, occurred_at=at) for i, pin in enumerate((5, 9, 1, 7))])
    assert log.state(1).recents.pin_ids.tolist() == [7, 1, 9, 5]
    log.close()
    assert open_log(tmp_path, live=False).state(1).recents.pin_ids.tolist() == [7, 1, 9, 5]


def test_a_damaged_part_is_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = open_log(tmp_path)
    log.append([event("a")])
    log.flush()
    log.append([event("b", user_id=3)])
    log.close()
    parts = sorted((tmp_path / "logs" / "events").rglob("*.parquet"))
    data = bytearray(parts[0].read_bytes())
    data[4:60] = b"\xff" * 56
    parts[0].write_bytes(bytes(data))
    assert stored(tmp_path) == ["b"]
    assert parts[0].name in caplog.text
    assert open_log(tmp_path).state(3).recents.pin_ids.tolist() == [2]


def test_what_waits_for_parquet_is_told_with_its_bytes_and_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("serving.logs.waiting_events.time.monotonic", lambda: now[0])
    log = open_log(tmp_path)
    assert (log.backlog().rows, log.backlog().bytes, log.backlog().oldest_seconds) == (0, 0, 0.0)
    log.append([event("a"), event("b")])
    now[0] += 5.0
    log.append([event("c")])
    waiting = log.backlog()
    assert (waiting.rows, waiting.oldest_seconds, waiting.problems) == (3, 5.0, 0)
    assert (
        waiting.bytes
        == sum(path.stat().st_size for path in (tmp_path / "wal").glob("*.wal")) - len(MAGIC) - 2 * HEAD.size
    )
    log.flush()
    assert (log.backlog().rows, log.backlog().bytes, log.backlog().oldest_seconds) == (0, 0, 0.0)
