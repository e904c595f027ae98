"""What a feed makes of a topic: one that was cleaned before it was read, events of who does not want to be stored.

Its client is a plain object here.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.control.choices import Choices
from cluster.control.search import search
from cluster.settings.events import KafkaSettings
from cluster.store.pseudonyms import Pseudonyms
from cluster.store.quarantine import Quarantine
from serving.logs import kafka_feed
from serving.logs.kafka_feed import KafkaFeed
from serving.logs.shard import Shard
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.writers import CONTRACT, Writers


class Cleaned:
    """A consumer of a topic with four partitions, of which everything before offset 100 is deleted."""

    def __init__(self) -> None:
        self.assigned: list[int] = []

    def list_topics(self, topic: str, _: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions=dict.fromkeys(range(4)))})

    def committed(self, mine: list[Any], _: float) -> list[Any]:
        for at in mine:
            at.offset = {0: 40, 1: 99, 2: -1001, 3: 500}[at.partition]
        return mine

    def get_watermark_offsets(self, at: Any, timeout: float = 0.0, cached: bool = False) -> tuple[int, int]:
        return 100, 600

    def assign(self, mine: list[Any]) -> None:
        self.assigned += [at.partition for at in mine]

    def consume(self, _: int, seconds: float) -> list[Any]:
        return []

    def position(self, mine: list[Any]) -> list[Any]:
        return mine

    def close(self) -> None:
        return


@pytest.mark.parametrize(("shard", "lost", "behind"), [(Shard(0, 1), 61, 560 + 501 + 100), (Shard(1, 2), 1, 501 + 100)])
def test_messages_that_were_deleted_unread_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: Shard, lost: int, behind: int
) -> None:
    pytest.importorskip("confluent_kafka", reason="pip install 'pinfunnel[kafka]'")
    topic = KafkaSettings(brokers=("nowhere:1",), topic="events")
    made: list[Cleaned] = []
    monkeypatch.setattr(kafka_feed, "consumer_of", lambda *_: made.append(Cleaned()) or made[-1])
    with Writers(tmp_path, shard.of) as writers:
        log = writers.logs[shard.index]
        feed = KafkaFeed(topic, log, CONTRACT, Quarantine(tmp_path / "quarantine", "kafka"), shard)
        try:
            while not feed.health().counters["behind"]:
                assert feed._thread.is_alive()
            health = feed.health()
        finally:
            feed.close()
    assert made[-1].assigned == list(range(shard.index, 4, shard.of))
    assert health.counters == {"behind": behind, "deleted_unread": lost, "set_aside": 0, "unwanted": 0}
    assert health.problems == (f"messages of the topic events were deleted before they were read: {lost}",)


class Filled(Cleaned):
    """A consumer of a topic with these messages."""

    def __init__(self, values: list[bytes]) -> None:
        super().__init__()
        self._left = [
            SimpleNamespace(value=lambda v=value: v, error=lambda: None, partition=lambda: 0, offset=lambda at=at: at)
            for at, value in enumerate(values)
        ]

    def consume(self, _: int, seconds: float) -> list[Any]:
        some, self._left = self._left, []
        return some

    def commit(self, **_: Any) -> None:
        return


@pytest.mark.parametrize("names", [Pseudonyms("int64"), Pseudonyms("int64", "k" * 32)], ids=["ids", "pseudonyms"])
def test_who_does_not_want_to_be_stored_is_not_and_others_are_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Pseudonyms
) -> None:
    pytest.importorskip("confluent_kafka", reason="pip install 'pinfunnel[kafka]'")
    wanted, unwanted, odd = 7_310_055_512_345_678, 7_310_055_512_345_679, 7_310_055_512_345_680
    sent = [event("a", user_id=wanted), event("b", user_id=unwanted), event("c", user_id=[odd]), {"user_id": odd}]
    values = [json.dumps(each, default=str).encode() for each in sent]
    choices = Choices(tmp_path / "control")
    choices.choose(unwanted, personalization=False)
    monkeypatch.setattr(kafka_feed, "consumer_of", lambda *_: Filled(values))
    topic = KafkaSettings(brokers=("nowhere:1",), topic="events")
    with Writers(tmp_path, 1) as writers:
        aside = Quarantine(writers.store.root / "quarantine", "kafka")
        feed = KafkaFeed(topic, writers.logs[0], CONTRACT, aside, Shard(), choices.may_store, names)
        try:
            while feed.health().counters["set_aside"] < 2:
                assert feed._thread.is_alive()
            counters = feed.health().counters
        finally:
            feed.close()
        writers.flush()
        stored, _ = writers.store.read_events()
    assert stored["user_id"].to_pylist() == [names.of(wanted)]
    assert counters["unwanted"] == 1
    found = {user for user in (wanted, unwanted, odd) if list(search([writers.store.root], user))}
    assert found == (set() if names.on else {wanted, odd})
