"""A batch over several writers: acknowledged when all have it, and told row by row as if there were one."""

import asyncio
from pathlib import Path

import pytest

from serving.logs import sharded_sink, wal
from serving.logs.checked_events import CheckedEvents
from serving.logs.health import LogHealth
from serving.logs.known_events import TAKEN
from serving.logs.receipt import Receipt
from serving.logs.shard import shard_of
from serving.logs.sharded_sink import ShardedSink
from serving.logs.sink import EventSink
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.writers import Writers

USERS = {shard: [user for user in range(40) if shard_of(user, 3) == shard] for shard in range(3)}


def test_the_events_of_a_batch_go_to_their_users_writers(tmp_path: Path) -> None:
    batch = [event(f"e{user}", user_id=user, pin_id=user) for user in range(20)]
    batch.insert(3, event("bad", user_id="text"))
    batch += [event("e0", user_id=0, pin_id=77), event("e1", user_id=1, pin_id=1)]
    with Writers(tmp_path, 3) as writers:
        receipt = writers.send(batch)
        assert receipt.accepted == 21
        assert [(each.row, each.event_id) for each in receipt.refused] == [(3, "bad"), (21, "e0")]
        assert receipt.refused[1].reason == TAKEN
        assert [len(log._waiting) for log in writers.logs] == [
            len([user for user in users if user < 20]) for users in USERS.values()
        ]
        assert [writers.state(user).recents.pin_ids.tolist() for user in range(20)] == [[user] for user in range(20)]
        assert writers.flush() == 20
        assert writers.stored() == sorted(f"e{user}" for user in range(20))


def test_a_batch_that_one_writer_refuses_is_refused_and_counts_once_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [event(f"e{user}", user_id=user) for user in range(20)]
    with Writers(tmp_path, 3) as writers:
        with monkeypatch.context() as broken:
            broken.setattr(writers.logs[1]._waiting, "append", lambda _: (_ for _ in ()).throw(OSError(28, "no room")))
            with pytest.raises(OSError, match=r"writer 2 of 3: .*no room"):
                writers.send(batch)
            others = [event("other", user_id=USERS[2][0])]
            assert writers.send(others).accepted == 1, "the other writers go on"
            (problem,) = asyncio.run(writers.sink.health()).problems
            assert problem.startswith("writer 2 of 3: events are refused")
        assert writers.send(batch).accepted == 20
        assert writers.flush() == 21
        assert writers.stored() == sorted([*(f"e{user}" for user in range(20)), "other"])


def test_a_writer_takes_no_user_of_another(tmp_path: Path) -> None:
    with Writers(tmp_path, 3) as writers, pytest.raises(OSError, match="another writer's users"):
        writers.logs[0].append([event("a", user_id=USERS[1][0])])


def test_one_id_of_two_users_is_two_events_wherever_their_writers_are(tmp_path: Path) -> None:
    batch = [event("same", user_id=USERS[shard][0]) for shard in range(3)]
    with Writers(tmp_path, 3) as writers:
        assert writers.send(batch).accepted == 3
        writers.flush()
        day = f"{event('x')['occurred_at']:%Y-%m-%d}"
        assert writers.store.read_events()[0].num_rows == 3
        assert writers.store.compact(day)["merged"] == 3
        table, repeated = writers.store.read_events()
        assert (sorted(table["user_id"].to_pylist()), repeated) == (sorted(each["user_id"] for each in batch), 0)


class Silent(EventSink):
    async def store(self, checked: CheckedEvents) -> Receipt:
        raise OSError("away")

    async def health(self) -> LogHealth:
        await asyncio.sleep(3600)
        raise AssertionError

    def close(self) -> None:
        return


class Fine(Silent):
    async def health(self) -> LogHealth:
        return LogHealth({"waiting": 2, "last_error": "", "append_error": "full"}, ())


def test_health_adds_up_and_names_the_writer_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded_sink, "HEALTH_SECONDS", 0.01)
    health = asyncio.run(ShardedSink([Fine(), Silent(), Fine()]).health())
    assert health.counters == {"waiting": 4, "last_error": "", "append_error": "full"}
    assert health.problems == ("writer 2 of 3: it does not answer: TimeoutError",)


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    writers = Writers(tmp_path, 2)
    writers.send([event(f"e{user}", user_id=user) for user in range(9)])
    writers.sink.close()
    assert len(writers.stored()) == 9
    assert [wal.left_behind(path) for path in (tmp_path / "logs").glob("wal*")] == [[], []]
