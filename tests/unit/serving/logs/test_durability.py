"""What is on disk when an event is acknowledged, and what becomes of its files when somebody takes them away."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.logs import wal
from serving.logs.events import EventLog
from tests.unit.serving.logs.test_events import OPENED, crash, event, open_log, stored, write_ahead


@pytest.fixture(autouse=True)
def _no_file_stays_open() -> Iterator[None]:
    yield
    while OPENED:
        crash(OPENED.pop())


class Recorder:
    """Notes which files and folders are synced, named and removed, in this order, as paths below a folder."""

    def __init__(self, below: Path, monkeypatch: pytest.MonkeyPatch):
        self._below = below
        self.steps: list[tuple[str, str]] = []
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._noting("sync", getattr(os, name)))
        monkeypatch.setattr(os, "rename", self._noting("name", os.rename, at=1))
        monkeypatch.setattr(Path, "unlink", self._noting("remove", Path.unlink))

    def _noting(self, what: str, real: Callable[..., None], at: int = 0) -> Callable[..., None]:
        def noting(*args: object, **options: object) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{args[at]}") if isinstance(args[at], int) else str(args[at]))
            real(*args, **options)
            if path.is_relative_to(self._below) and not path.name.startswith("."):
                kind = path.suffix or path.name
                self.steps.append((what, "/".join([*path.relative_to(self._below).parts[:-1], kind])))

        return noting

    def since(self, step: tuple[str, str]) -> list[tuple[str, str]]:
        return self.steps[self.steps.index(step) + 1 :]


def test_an_acknowledged_event_has_its_bytes_and_its_file_name_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    recorder = Recorder(tmp_path, monkeypatch)
    log.append([event("a")])
    assert recorder.steps == [("sync", "wal/.wal"), ("sync", "wal")]
    log.append([event("b")])
    assert recorder.steps[2:] == [("sync", "wal/.wal")]


def test_the_write_ahead_file_goes_only_once_parquet_and_all_folders_above_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    log.append([event("a")])
    day = f"date={event('a')['occurred_at']:%Y-%m-%d}"
    recorder = Recorder(tmp_path, monkeypatch)
    log.flush()
    assert recorder.steps[-3:] == [
        ("name", f"logs/events/{day}/.parquet"),
        ("sync", f"logs/events/{day}"),
        ("remove", "wal/.wal"),
    ]
    assert {("sync", "logs/events"), ("sync", "logs")} <= set(recorder.steps[:-3]), "each new folder has its name"


def test_callers_that_wait_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    reached, go_on, syncs = threading.Event(), threading.Event(), []

    def sync(handle: int) -> None:
        syncs.append(handle)
        reached.set()
        assert go_on.wait(30)

    monkeypatch.setattr(wal.os, "fdatasync", sync)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(log.append, [event("first")])
        assert reached.wait(30)
        others = [pool.submit(log.append, [event(f"e{i}"), event("shared")]) for i in range(8)]
        while len(log._commits._waiting) < 8:
            assert not first.done()
        go_on.set()
    assert first.result().accepted == 1
    assert [other.result().accepted for other in others] == [2] * 8
    assert len(syncs) == 2
    log.flush()
    assert stored(tmp_path) == [*(f"e{i}" for i in range(8)), "first", "shared"]


def test_a_failed_sync_refuses_everyone_and_the_file_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync the kernel says of the next one that all is well, whatever it has dropped."""
    log = open_log(tmp_path)
    log.append([event("before")])
    (given_up,) = write_ahead(tmp_path)
    size = given_up.stat().st_size
    with monkeypatch.context() as broken:
        broken.setattr(wal.os, "fdatasync", fail)
        with pytest.raises(OSError, match="input/output"):
            log.append([event("refused")])
    assert given_up.stat().st_size == size
    assert log.health().problems == (
        "events are refused, and their senders told to send them again: OSError: [Errno 5] input/output error",
    )
    assert log.append([event("refused")]).accepted == 1, "it was not taken for a repeated delivery"
    assert log.health().problems == ()
    assert given_up.stat().st_size == size
    assert len(write_ahead(tmp_path)) == 2
    crash(log)
    open_log(tmp_path)
    assert stored(tmp_path) == ["before", "refused"]


def fail(handle: int) -> None:
    raise OSError(5, "input/output error")


def test_health_comes_back_without_traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(wal.os, "fdatasync", fail)
        with pytest.raises(OSError, match="input/output"):
            log.append([event("a")])
        log.flush()
        assert len(log.health().problems) == 1
    log.flush()
    assert log.health().problems == ()
    assert log.health().counters["refusals"] == 1
    assert write_ahead(tmp_path) == []


TAKEN_AWAY: dict[str, Callable[[Path], None]] = {
    "the folder is moved": lambda folder: (folder / "wal").rename(folder / "moved"),
    "the folder is removed": lambda folder: shutil.rmtree(folder / "wal"),
    "its files are removed": lambda folder: [path.unlink() for path in (folder / "wal").iterdir()],  # type: ignore
    "the file is removed": lambda folder: write_ahead(folder)[0].unlink(),
    "another file has its name": lambda folder: write_ahead(folder)[0].replace(folder / "x"),
    "the lock is removed": lambda folder: (folder / "wal" / "LOCK").unlink(),
}


@pytest.mark.parametrize("take_away", TAKEN_AWAY.values(), ids=TAKEN_AWAY)
@pytest.mark.parametrize("sealed", [False, True], ids=["present", "sealed"])
def test_what_was_acknowledged_is_written_anew_when_its_file_is_taken_away(
    tmp_path: Path, take_away: Callable[[Path], None], sealed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    log.append([event("before")])
    if sealed:
        log._waiting.sealed()
    take_away(tmp_path)
    log.append([event("after")])
    crash(log)
    assert recovered(tmp_path) >= {"after"}
    if not sealed or take_away in (TAKEN_AWAY["the folder is moved"], TAKEN_AWAY["the folder is removed"]):
        assert recovered(tmp_path) == {"before", "after"}


def recovered(folder: Path) -> set[str]:
    return {row["event_id"] for path in write_ahead(folder) for row in wal.recover(path).rows}


@pytest.mark.parametrize("take_away", TAKEN_AWAY.values(), ids=TAKEN_AWAY)
def test_and_every_event_reaches_parquet_once(tmp_path: Path, take_away: Callable[[Path], None]) -> None:
    log = open_log(tmp_path)
    log.append([event("before")])
    take_away(tmp_path)
    log.append([event("after")])
    assert log.append([event("before")]).accepted == 1
    assert log.flush() == 2
    assert stored(tmp_path) == ["after", "before"]
    assert write_ahead(tmp_path) == []
    assert log.health().problems == ()


def test_a_file_that_is_moved_while_it_is_written_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    log.append([event("before")])
    real = os.fdatasync

    def sync(handle: int) -> None:
        real(handle)
        (tmp_path / "wal").rename(tmp_path / "moved")

    with monkeypatch.context() as moving:
        moving.setattr(wal.os, "fdatasync", sync)
        with pytest.raises(OSError, match="was removed or moved while it was written"):
            log.append([event("refused")])
    log.append([event("after")])
    crash(log)
    assert recovered(tmp_path) == {"before", "after"}


def test_a_home_that_is_away_takes_no_event_until_it_is_back(tmp_path: Path) -> None:
    """A volume that is not mounted: what would be written where it was is hidden once it is back."""
    home = tmp_path / "home"
    log = open_log(home)
    log.append([event("before")])
    home.rename(tmp_path / "away")
    with pytest.raises(OSError, match="home is gone: is its volume mounted"):
        log.append([event("refused")])
    with pytest.raises(OSError, match="home is gone"):
        log.flush()
    assert not home.exists(), "nothing was made in its stead"
    refused, waiting = log.health().problems
    assert "events are refused" in refused
    assert waiting.startswith("1 acknowledged events wait for Parquet: OSError: ")
    (tmp_path / "away").rename(home)
    assert log.append([event("refused")]).accepted == 1
    assert log.flush() == 2
    assert stored(home) == ["before", "refused"]
    assert log.health().problems == ()


def test_a_folder_that_another_server_has_made_anew_is_its_own(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append([event("a")])
    (tmp_path / "wal").rename(tmp_path / "moved")
    other = open_log(tmp_path)
    with pytest.raises(OSError, match=f"process {os.getpid()} has taken it over"):
        log.append([event("b")])
    assert other.append([event("b")]).accepted == 1


def test_a_crash_between_parquet_and_the_end_of_its_write_ahead_file_stores_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, remember=3)
    log.append([event("a"), event("b", pin_id=3)])
    with monkeypatch.context() as crashing:
        crashing.setattr(type(log._waiting), "done", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            log.flush()
    crash(log)
    again = open_log(tmp_path, remember=3)
    assert len(list((tmp_path / "logs" / "events").rglob("*.parquet"))) == 1
    assert stored(tmp_path) == ["a", "b"]
    assert again.state(1).recents.pin_ids.tolist() == [3, 2], "nor does it count twice for the user"
    assert write_ahead(tmp_path) == []


def test_more_than_may_wait_is_refused_and_taken_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.logs.events.WAITING_EVENTS", 3)
    log = open_log(tmp_path)
    log.append([event("a"), event("b")])
    with pytest.raises(OSError, match="2 events wait for the disk"):
        log.append([event("c"), event("d")])
    assert log.append([event("c")]).accepted == 1
    log.flush()
    assert log.append([event("c"), event("d")]).accepted == 2
    log.flush()
    assert stored(tmp_path) == ["a", "b", "c", "d"]


def test_a_full_file_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.logs.waiting_events.FILE_EVENTS", 2)
    log = open_log(tmp_path)
    for i in range(5):
        log.append([event(f"e{i}", pin_id=i, occurred_at=event("x")["occurred_at"])])
    assert len(write_ahead(tmp_path)) == 3
    crash(log)
    log = open_log(tmp_path)
    assert log.state(1).recents.pin_ids.tolist() == [4, 3, 2, 1, 0], "files are read in the order they were begun"
    assert log.health().counters["recovered"] == 5


def waiting_in(log: EventLog) -> int:
    return int(log.health().counters["waiting"])


def test_health_counts_what_waits(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append([event("a"), event("b")])
    assert waiting_in(log) == 2
    log.flush()
    assert waiting_in(log) == 0
