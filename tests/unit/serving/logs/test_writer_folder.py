"""More or fewer writers than before: agreed by all that run, and nothing is lost, doubled or forgotten on the way."""

import shutil
from pathlib import Path

import pytest

from cluster.errors import ConfigError
from cluster.store.logs import LogStore
from serving.logs.wal import left_behind
from serving.logs.writers_file import WritersFile
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.writers import Writers

BATCH = [event(f"e{user}", user_id=user, pin_id=user) for user in range(20)]
NAMES = sorted(f"e{user}" for user in range(20))


def folders(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "logs").glob("wal*"))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2), (2, 5)])
def test_what_writers_of_another_number_left_is_stored_once_and_known(tmp_path: Path, before: int, after: int) -> None:
    with Writers(tmp_path, before) as old:
        old.send(BATCH)
    assert left_behind(tmp_path / "logs" / "wal") != []
    with Writers(tmp_path, after) as new:
        assert new.stored() == NAMES, "before anybody writes"
        assert len(folders(tmp_path)) == after
        assert new.send(BATCH).accepted == 20
        assert new.flush() == 0
        assert [new.state(user).recents.pin_ids.tolist() for user in range(20)] == [[user] for user in range(20)]
    with Writers(tmp_path, before) as again:
        assert again.send(BATCH).accepted == 20
        assert again.flush() == 0
        assert again.stored() == NAMES


def test_the_log_of_version_0_1_goes_on_as_one_writer_or_as_more(tmp_path: Path) -> None:
    with Writers(tmp_path, 1) as old:
        old.send(BATCH)
    (tmp_path / "logs" / "WRITERS").unlink()
    with Writers(tmp_path, 1) as same:
        assert same.logs[0].health().counters["recovered"] == 20
        same.send([event("later")])
    (tmp_path / "logs" / "WRITERS").unlink()
    with Writers(tmp_path, 2) as more:
        assert more.stored() == sorted([*NAMES, "later"])


def test_servers_of_different_numbers_do_not_run_together(tmp_path: Path) -> None:
    with Writers(tmp_path, 2) as running:
        for other in (1, 3):
            with pytest.raises(ConfigError, match=rf"events\.writers: 2` writes .*, and this one has {other}:"):
                Writers(tmp_path, other)
        with pytest.raises(ConfigError, match="another server writes this event log"):
            Writers(tmp_path, 2)
        assert running.send(BATCH).accepted == 20


def test_a_writer_that_was_killed_comes_back_while_the_others_go_on(tmp_path: Path) -> None:
    with Writers(tmp_path, 2) as writers:
        writers.send(BATCH)
        mine = len(writers.logs[0]._waiting)
        writers.kill(0)
        with pytest.raises(ConfigError, match=r"`events\.writers: 2`"):
            Writers(tmp_path, 1)
        assert writers.logs[1].flush() == len(BATCH) - mine
        writers.restart(0)
        assert writers.logs[0].health().counters["recovered"] == mine
        assert writers.send(BATCH).accepted == 20
        assert writers.flush() == 0
        assert writers.stored() == NAMES


def test_on_a_full_disk_the_number_cannot_change_and_the_old_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Writers(tmp_path, 2) as old:
        old.send(BATCH)
    with monkeypatch.context() as full:
        full.setattr(LogStore, "write_events", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(ConfigError, match=r"wal.*before `events.writers` was changed.*No space left.*set it back"):
            Writers(tmp_path, 3)
        with Writers(tmp_path, 2) as same:
            assert same.send([event("more")]).accepted == 1
    with Writers(tmp_path, 3) as more:
        assert more.stored() == sorted([*NAMES, "more"])


def test_what_others_keep_beside_the_folders_stays(tmp_path: Path) -> None:
    with Writers(tmp_path, 2) as old:
        old.send(BATCH)
    (tmp_path / "logs" / "wal-old").mkdir()
    (tmp_path / "logs" / "wal-2" / "notes").write_text("mine")
    with Writers(tmp_path, 1) as new:
        assert new.stored() == NAMES
    assert (tmp_path / "logs" / "wal-2" / "notes").read_text() == "mine"
    assert folders(tmp_path) == ["wal", "wal-2", "wal-old"]


def test_the_number_is_said_anew_when_the_logs_are_taken_away(tmp_path: Path) -> None:
    with Writers(tmp_path, 2) as writers:
        writers.send(BATCH)
        shutil.rmtree(tmp_path / "logs")
        writers.send([event(f"n{user}", user_id=user) for user in range(20)])
        assert (tmp_path / "logs" / "WRITERS").read_text() == "2"
        with pytest.raises(ConfigError, match=r"`events\.writers: 2`"):
            Writers(tmp_path, 3)
        writers.flush()
        assert writers.stored() == sorted([*NAMES, *(f"n{user}" for user in range(20))])


def test_a_server_of_another_number_that_came_meanwhile_has_the_log(tmp_path: Path) -> None:
    with Writers(tmp_path, 2) as writers:
        writers.send(BATCH)
        shutil.rmtree(tmp_path / "logs")
        held = WritersFile(tmp_path / "logs", 3, lambda: None)
        with pytest.raises(OSError, match="another number of writers has taken the log over"):
            writers.send([event("x")])
        held.release()
        assert writers.send([event("x")]).accepted == 1
