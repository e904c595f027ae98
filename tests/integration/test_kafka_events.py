"""Events through a real broker into the log: acknowledged by the broker means stored once, whatever is killed between.

Needs a broker (tests/worlds/broker.py). No Ray: the parts are those that the replicas hold.
"""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.settings.events import KafkaSettings
from cluster.store.quarantine import Quarantine
from serving.logs import kafka_client, kafka_feed, kafka_sink
from serving.logs.checked_events import CheckedEvents
from serving.logs.kafka_feed import KafkaFeed
from serving.logs.kafka_sink import KafkaSink
from serving.logs.shard import shard_of, shards_of
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.writers import CONTRACT, Writers
from tests.worlds.broker import PLAYED, Broker, produce
from tests.worlds.fuzz import examples

BATCH = [event(f"e{user}", user_id=user, pin_id=user) for user in range(20)]
NAMES = sorted(f"e{user}" for user in range(20))
PATIENCE = 30.0


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture(scope="module")
def played() -> Iterator[Broker]:
    with Broker(PLAYED) as running:
        yield running


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_feed, "QUIET_SECONDS", 0.6)


class Fed(Writers):
    """Writers that read a topic."""

    def __init__(self, home: Path, number: int, topic: KafkaSettings):
        super().__init__(home, number)
        self.feeds: list[KafkaFeed] = []
        for log, shard in zip(self.logs, shards_of(number), strict=True):
            quarantine = Quarantine(self.store.root / "quarantine", "kafka")
            self.feeds.append(KafkaFeed(topic, log, CONTRACT, quarantine, shard))

    def caught_up(self) -> bool:
        return all(feed.catch_up(PATIENCE) for feed in self.feeds)

    def kill(self, *which: int) -> None:
        for feed in self.feeds:
            feed.close()
        super().kill(*which)

    def health(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        health = [feed.health() for feed in self.feeds]
        counters = {name: sum(each.counters[name] for each in health) for name in health[0].counters}
        return counters, tuple(problem for each in health for problem in each.problems)

    def until(self, name: str, value: object) -> None:
        """Wait for a counter, or for `problem` to be there."""
        for _ in range(300):
            counters, problems = self.health()
            if (bool(problems) if name == "problem" else counters[name]) == value:
                return
            self.feeds[0]._stop.wait(0.1)
        raise AssertionError(self.health())


class Sender:
    """An ingress, as far as it goes: checks, and sends to the topic."""

    def __init__(self, topic: KafkaSettings):
        self.sink = KafkaSink(topic)

    def __call__(self, events: list[dict[str, Any]]) -> int:
        return asyncio.run(self.sink.store(CheckedEvents.of(events, CONTRACT))).accepted

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.close()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", ["broker", "played"])
def test_what_the_broker_has_acknowledged_is_stored_once_and_its_users_are_known(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, number: int
) -> None:
    topic = request.getfixturevalue(kind).topic()
    with Sender(topic) as send, Fed(tmp_path, number, topic) as fed:
        assert send([*BATCH, event("bad", action="applaud")]) == 20
        assert send(BATCH) == 20, "a sender that did not hear of it"
        assert fed.caught_up()
        assert [fed.state(user).recents.pin_ids.tolist() for user in range(20)] == [[user] for user in range(20)]
        assert fed.flush() == 20
        assert fed.stored() == NAMES
        assert fed.health() == ({"behind": 0, "deleted_unread": 0, "set_aside": 0, "unwanted": 0}, ())


def test_the_log_reads_on_where_it_was_and_the_number_of_writers_may_change(tmp_path: Path, broker: Broker) -> None:
    topic = broker.topic()
    with Sender(topic) as send:
        send(BATCH[:5])
        with Fed(tmp_path, 2, topic) as fed:
            assert fed.caught_up()
        send(BATCH[5:])
        with Fed(tmp_path, 4, topic) as fed:
            assert fed.caught_up()
            fed.flush()
            assert fed.stored() == NAMES
            counted = [log.health().counters["recovered"] for log in fed.logs]
            assert counted == [0, 0, 0, 0], "another number settles first"
        with Fed(tmp_path, 1, topic) as fed:
            assert fed.caught_up()
            assert fed.flush() == 0, "nothing is read twice"


def test_killed_between_the_disk_and_the_commit_it_reads_again_and_stores_once(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = broker.topic()
    with Sender(topic) as send:
        send(BATCH)
        with monkeypatch.context() as killed:
            killed.setattr(KafkaFeed, "_commit", lambda *_: (_ for _ in ()).throw(OSError("killed")))
            with Fed(tmp_path, 1, topic) as fed:
                fed.until("problem", True)
                assert len(fed.logs[0]._waiting) == 20
        with Fed(tmp_path, 1, topic) as fed:
            assert fed.caught_up()
            fed.flush()
            assert fed.stored() == NAMES


def test_a_disk_that_refuses_leaves_events_with_the_broker_until_it_takes_them(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = broker.topic()
    with Sender(topic) as send, Fed(tmp_path, 1, topic) as fed:
        with monkeypatch.context() as full:
            full.setattr(fed.logs[0]._waiting, "append", lambda _: (_ for _ in ()).throw(OSError(28, "no room")))
            assert send(BATCH) == 20, "the broker has them"
            fed.until("problem", True)
            assert "is not read into the log: OSError: [Errno 28] no room" in fed.health()[1][0]
            assert len(fed.logs[0]._waiting) == 0
        fed.until("problem", False)
        assert fed.caught_up()
        fed.flush()
        assert fed.stored() == NAMES


def test_a_home_that_is_away_leaves_events_with_the_broker_until_it_is_back(tmp_path: Path, broker: Broker) -> None:
    topic = broker.topic()
    home = tmp_path / "home"
    with Sender(topic) as send, Fed(home, 2, topic) as fed:
        home.rename(tmp_path / "away")
        assert send(BATCH) == 20
        fed.until("problem", True)
        assert "home is gone: is its volume mounted?" in fed.health()[1][0]
        assert not home.exists(), "nothing was made in its stead"
        (tmp_path / "away").rename(home)
        fed.until("problem", False)
        assert fed.caught_up()
        fed.flush()
        assert fed.stored() == NAMES


def test_a_home_that_is_lost_is_read_again_by_a_new_group(tmp_path: Path, broker: Broker) -> None:
    topic = broker.topic()
    with Sender(topic) as send, Fed(tmp_path / "lost", 1, topic) as fed:
        send(BATCH)
        assert fed.caught_up()
    shutil.rmtree(tmp_path / "lost")
    with Fed(tmp_path / "new", 1, topic.model_copy(update={"group": "after-the-loss"})) as fed:
        assert fed.caught_up()
        fed.flush()
        assert fed.stored() == NAMES


def test_what_is_no_event_is_set_aside_with_the_reason_and_stops_nothing(tmp_path: Path, broker: Broker) -> None:
    topic = broker.topic(2)
    elsewhere = next(user for user in range(20) if shard_of(user, 2) == 1)
    old = event("old", occurred_at="1999-01-01T00:00:00Z")
    with Sender(topic) as send, Fed(tmp_path, 2, topic) as fed:
        produce(topic, (None, b"\xff", 0), (b"1", None, 1), (b"1", _json(old, user_id=elsewhere), 1))
        produce(topic, (b"1", _json(BATCH[elsewhere]), 0), (b"1", _json(BATCH[elsewhere], pin_id="x"), 1))
        send(BATCH)
        send([event("e0", user_id=0, pin_id=99)])
        assert fed.caught_up()
        fed.flush()
        assert fed.stored() == NAMES
        assert fed.health() == ({"behind": 0, "deleted_unread": 0, "set_aside": 6, "unwanted": 0}, ())
    rows = [json.loads(line) for path in (tmp_path / "logs" / "quarantine").iterdir() for line in _lines(path)]
    reasons = sorted(row["reason"].split(":")[0] for row in rows)
    assert reasons == ["event_id", "message", "message", "occurred_at", "pin_id", "user_id"]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _json(fields: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**fields, **changes}, default=str).encode()


def test_partitions_that_the_writers_cannot_share_and_a_topic_that_is_not_there_are_told(
    tmp_path: Path, broker: Broker
) -> None:
    with Fed(tmp_path / "a", 3, broker.topic(4)) as fed:
        fed.until("problem", True)
        assert "its 4 partitions cannot be shared by 3 writers" in fed.health()[1][0]
    absent = broker.topic(4).model_copy(update={"topic": "absent"})
    with Fed(tmp_path / "b", 1, absent) as fed:
        fed.until("problem", True)
        assert "the topic absent is not read into the log" in fed.health()[1][0]


def test_a_broker_that_hangs_acknowledges_nothing_and_what_it_gets_twice_counts_once(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.skip_unless_ours()
    for module in (kafka_client, kafka_sink):
        monkeypatch.setattr(module, "ACK_SECONDS", 2.0)
    topic = broker.topic()
    with Sender(topic) as send, Fed(tmp_path, 2, topic) as fed:
        assert send(BATCH[:10]) == 10
        broker.hang()
        try:
            with pytest.raises(OSError, match=r"acknowledged|broker"):
                send(BATCH[10:])
            assert asyncio.run(send.sink.health()).problems != ()
        finally:
            broker.go_on()
        _until_taken(send, BATCH)
        assert asyncio.run(send.sink.health()).problems == ()
        fed.until("problem", False)
        assert fed.caught_up()
        fed.flush()
        assert fed.stored() == NAMES


def _until_taken(send: Sender, batch: list[dict[str, Any]]) -> None:
    """As a sender does: the same again until it is acknowledged."""
    for _ in range(30):
        try:
            assert send(batch) == len(batch)
        except OSError:
            continue
        return
    raise AssertionError("never acknowledged")


def test_a_broker_that_is_gone_refuses_and_what_was_read_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (kafka_client, kafka_sink):
        monkeypatch.setattr(module, "ACK_SECONDS", 2.0)
    with Broker() as own:
        own.skip_unless_ours()
        topic = own.topic()
        with Sender(topic) as send, Fed(tmp_path, 1, topic) as fed:
            send(BATCH[:10])
            assert fed.caught_up()
            own.kill()
            with pytest.raises(OSError, match="broker"):
                send(BATCH[10:])
            fed.until("problem", True)
            fed.flush()
            assert fed.stored() == sorted(f"e{user}" for user in range(10))
            own.start()  # it has forgotten all that it had: this broker keeps messages in memory
            own.make(topic, 4)
            _until_taken(send, BATCH)
        with Fed(tmp_path, 1, topic.model_copy(update={"group": "another"})) as fed:
            assert fed.caught_up()
            fed.flush()
            assert fed.stored() == NAMES


STEP = st.one_of(
    st.tuples(st.just("send"), st.lists(st.integers(0, 11), min_size=1, max_size=6)),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("restart"), st.sampled_from([1, 2, 4])),
    st.tuples(st.just("kill before the commit"), st.sampled_from([1, 2, 4])),
)


@pytest.mark.fuzz
@settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=3, max_size=6))
def test_in_any_order_what_was_acknowledged_is_stored_once(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, steps: list[tuple[str, Any]]
) -> None:
    home = tmp_path_factory.mktemp("home")
    topic = broker.topic()
    sent: list[dict[str, Any]] = []
    fed = Fed(home, 1, topic)
    try:
        with Sender(topic) as send, pytest.MonkeyPatch.context() as patch:
            for what, how in [*steps, ("restart", 2)]:
                if what == "send":
                    batch = [event(f"n{at}", user_id=user, pin_id=at) for at, user in enumerate(how, len(sent))]
                    sent += batch
                    assert send(batch) == len(batch)
                elif what == "again":
                    assert send(sent[-how:]) == len(sent[-how:])
                else:
                    if what == "kill before the commit":
                        patch.setattr(KafkaFeed, "_commit", lambda *_: (_ for _ in ()).throw(OSError("killed")))
                        fed.feeds[0]._stop.wait(0.3)
                    fed.kill()
                    patch.undo()
                    fed = Fed(home, how, topic)
            assert fed.caught_up()
            fed.flush()
            assert fed.stored() == sorted(each["event_id"] for each in sent)
    finally:
        fed.kill()
