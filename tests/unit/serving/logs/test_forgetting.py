"""What is to be forgotten leaves the event log's files, its memory and the serving log, also what is on its way."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.contract.moments import MomentContract
from cluster.control.forgotten import Forgotten
from cluster.control.search import search
from cluster.store.logs import LogStore
from serving.logs.checked_events import CheckedEvents
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.shard import WHOLE
from serving.logs.state_folder import StatePublisher, StateReader
from serving.logs.user_state import UserStates
from serving.logs.writer_folder import WriterFolder
from serving.request.ask import ShownPins

USER = "user-to-be-forgotten"
OTHER = "user-who-stays"
NOW = datetime.now(UTC)
CONTRACT = EventContract.of("string", ("save", "hide"), MomentContract(timedelta(days=1)))


def event(name: str, user: str, action: str = "save") -> dict[str, Any]:
    return {"event_id": name, "user_id": user, "pin_id": f"pin of {name}", "action": action, "occurred_at": NOW}


class Machine:
    """An event log with its state on disk, as a server has it, and a reader of that state."""

    def __init__(self, folder: Path):
        self.root = folder / "logs"
        self.store = LogStore(self.root, "string")
        self.forgotten = Forgotten(folder / "control")
        self.publisher = StatePublisher(folder / "logs" / "state" / "here")
        self.log = EventLog(
            WriterFolder(self.store, WHOLE, folder, "string", 0.0),
            self.store,
            CONTRACT,
            UserStates(("hide",), folder=self.publisher.folder),
            forgotten=self.forgotten,
        )
        self.publisher.publish()
        self.reader = StateReader(folder / "logs" / "state" / "here", 64, 1000)

    def forget(self) -> None:
        if self.log.forget():
            self.publisher.point()

    def close(self) -> None:
        self.publisher.close()
        self.log.close()
        self.reader.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    before = Machine(tmp_path)
    for user in (USER, OTHER):
        before.log.append([event(f"old {user}", user), event(f"old hide {user}", user, "hide")])
    before.close()  # so that mapped tables know both as well
    made = Machine(tmp_path)
    for user in (USER, OTHER):
        made.log.append([event(f"a {user}", user), event(f"h {user}", user, "hide")])
        made.log.note_shown([(user, ShownPins("homefeed", round(NOW.timestamp() * 1e6), ("x",)))])
    yield made
    made.close()


def test_files_and_readers_lose_the_one_user_and_keep_the_other(machine: Machine) -> None:
    kept = machine.log.state(OTHER)
    assert len(machine.reader.of(USER).recents.pin_ids) == 4  # type: ignore[union-attr]
    assert len({line.split(":")[0] for line in search([machine.root], USER)}) >= 4
    machine.forgotten.forget([USER])
    machine.forget()
    for known in (machine.log.state(USER), machine.reader.of(USER)):
        assert known is not None
        assert not known.known
    for same in (machine.log.state(OTHER), machine.reader.of(OTHER)):
        assert same is not None
        assert same.recents.pin_ids.tolist() == kept.recents.pin_ids.tolist()
        assert (same.hidden, same.shown) == (kept.hidden, kept.shown)
    left = [line for line in search([machine.root], USER) if "/events/" not in line]
    assert left == [], "files that are Parquet already are not the writer's to sweep"
    assert not machine.log.forget(), "there is no news"


def test_a_new_life_is_remembered(machine: Machine) -> None:
    machine.forgotten.forget([USER])
    machine.forget()
    machine.log.append([{**event("new", USER, "hide"), "occurred_at": datetime.now(UTC)}])
    state = machine.reader.of(USER)
    assert state is not None
    assert state.hidden == ("pin of new",)
    machine.log.flush()
    files = machine.store.event_files().paths
    rows = [row for path in files for row in pq.ParquetFile(path).read().to_pylist()]
    assert [row["event_id"] for row in rows if row["user_id"] == USER and row["event_id"] == "new"] == ["new"]


def test_an_event_on_its_way_does_not_survive(machine: Machine) -> None:
    on_its_way = CheckedEvents.of([event("late", USER), event("late too", OTHER)], CONTRACT)
    machine.forgotten.forget([USER])
    machine.forget()
    assert machine.log.store(on_its_way).accepted == 2
    assert not machine.log.state(USER).known
    machine.log.flush()
    assert not [line for line in search([machine.root], "pin of late") if "late too" not in line and "/wal" in line]
    table, _ = machine.store.read_events()
    assert "late" not in table["event_id"].to_pylist()
    assert "late too" in table["event_id"].to_pylist()


def test_what_is_written_while_somebody_is_forgotten_is_looked_at_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = machine.store.write_events

    def slow(*args: Any, **named: Any) -> list[Path]:
        machine.forgotten.forget([USER])  # by another process, while this one writes
        return real(*args, **named)

    monkeypatch.setattr(machine.store, "write_events", slow)
    machine.log.flush()
    table, _ = machine.store.read_events()
    rows = [(row["event_id"], row["user_id"]) for row in table.to_pylist()]
    assert (f"a {OTHER}", OTHER) in rows
    assert f"a {USER}" not in [name for name, _ in rows]


def test_events_that_come_meanwhile_are_forgotten_or_new_and_never_half(machine: Machine) -> None:
    stop = threading.Event()
    sent: list[str] = []

    def send() -> None:
        while not stop.is_set():
            sent.append(f"m{len(sent)}")
            machine.log.append([{**event(sent[-1], USER), "occurred_at": datetime.now(UTC)}])

    thread = threading.Thread(target=send)
    thread.start()
    while len(sent) < 20:
        stop.wait(0.01)
    before = machine.forgotten.forget([USER])
    machine.forget()
    goal = len(sent) + 20
    while len(sent) < goal:
        stop.wait(0.01)
    stop.set()
    thread.join()
    machine.log.flush()
    machine.forget()
    table, _ = machine.store.read_events()
    mine = [row for row in table.to_pylist() if row["user_id"] == USER and row["event_id"] in sent]
    assert mine
    assert all(row["received_at"].timestamp() * 1e6 >= before for row in mine)
    state = machine.log.state(USER)
    assert set(state.recents.pin_ids.tolist()) <= {row["pin_id"] for row in mine}
