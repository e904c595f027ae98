"""A feed whose topic was cleaned before it was read says how much is lost; its client is a plain object here."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.settings.events import KafkaSettings
from cluster.store.quarantine import Quarantine
from serving.logs import kafka_feed
from serving.logs.kafka_feed import KafkaFeed
from serving.logs.shard import Shard
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
    assert health.counters == {"behind": behind, "deleted_unread": lost, "set_aside": 0}
    assert health.problems == (f"messages of the topic events were deleted before they were read: {lost}",)
