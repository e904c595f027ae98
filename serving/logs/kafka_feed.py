"""Reads a topic into the event log. How far it was read is committed once the events are on disk, and never before.

So whatever is killed, a message is read again rather than lost, and its event counts once by its id.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cluster.backoff import Backoff
from cluster.errors import in_short
from cluster.settings.events import KafkaSettings
from cluster.store.pseudonyms import Pseudonyms
from cluster.store.quarantine import BadRow, Quarantine
from serving.logs.checked_events import CheckedEvents
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.health import Backlog, LogHealth
from serving.logs.kafka_client import consumer_of
from serving.logs.kafka_messages import kept_as, read_message
from serving.logs.shard import Shard
from serving.request.ask import Id

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

log = logging.getLogger(__name__)

MESSAGES = 2000
"""Read at a time."""
READ_SECONDS = 0.1
ASK_SECONDS = 5.0
LOOK_SECONDS = 60.0
"""So often the topic is looked at for partitions that are new."""
QUIET_SECONDS = 1.0
"""A topic of which nothing came for so long was read to its end."""


class KafkaFeed:
    """One thread that reads the partitions of one writer's users: each `shard.of`-th, as the writers divide them."""

    def __init__(
        self,
        settings: KafkaSettings,
        events: EventLog,
        contract: EventContract,
        quarantine: Quarantine,
        shard: Shard,
        may_store: Callable[[Id], bool] = lambda user: True,
        names: Pseudonyms | None = None,
    ):
        """`may_store` tells of whom nothing may be stored; `names` are what the log calls users.

        Starts at once, whether there is a broker or not. Raises ConfigError as `consumer_of`.
        """
        self._may_store = may_store
        self._names = names or Pseudonyms(contract.ids.kind)
        self._unwanted = 0
        self._settings = settings
        self._events = events
        self._contract = contract
        self._quarantine = quarantine
        self._shard = shard
        self._backoff = Backoff()
        self._behind = 0
        self._deleted = 0
        self._error = ""
        self._asked = 0.0
        self._quiet = threading.Event()
        self._stop = threading.Event()
        consumer_of(settings, log.warning).close()  # whoever opens the feed is told what is wrong with its options
        self._thread = threading.Thread(target=self._run, name="kafka-feed", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        from confluent_kafka import KafkaException

        while not self._stop.is_set():
            faults: list[Any] = []
            consumer = consumer_of(self._settings, faults.append)
            try:
                self._read(consumer, self._assigned(consumer), faults)
            except (KafkaException, OSError) as error:
                self._failed(error)
            finally:
                consumer.close()

    def _failed(self, error: Exception) -> None:
        """Say it, and wait for the next try."""
        self._error = in_short(error)
        log.warning("the topic %s is not read: %s", self._settings.topic, self._error)
        self._backoff.failed()
        self._stop.wait(self._backoff.seconds_left)

    def _assigned(self, consumer: "Consumer") -> "list[TopicPartition]":
        """This writer's partitions, taken up where they were committed. Raises OSError when there are none to take."""
        from confluent_kafka import TopicPartition

        topic = self._settings.topic
        number = self._partitions(consumer)
        if number % self._shard.of:
            raise OSError(f"its {number} partitions cannot be shared by {self._shard.of} writers: make them a multiple")
        mine = [TopicPartition(topic, each) for each in range(self._shard.index, number, self._shard.of)]
        for at in consumer.committed(mine, ASK_SECONDS):
            first, _ = consumer.get_watermark_offsets(at, ASK_SECONDS)
            if 0 <= at.offset < first:
                self._deleted += first - at.offset
                log.error("%d messages of %s [%d] were deleted unread", first - at.offset, topic, at.partition)
        consumer.assign(mine)
        return mine

    def _partitions(self, consumer: "Consumer") -> int:
        found = consumer.list_topics(self._settings.topic, ASK_SECONDS).topics[self._settings.topic]
        if found.error is not None or not found.partitions:
            raise OSError("it is not there: make it, with replicas and partitions")
        return len(found.partitions)

    def _read(self, consumer: "Consumer", mine: "list[TopicPartition]", faults: Sequence[Any]) -> None:
        """Until this feed stops, or the topic has other partitions. Raises OSError and KafkaException."""
        came = time.monotonic()
        look = came + LOOK_SECONDS
        ended: set[int | None] = set()  # partitions of which nothing is left
        while not self._stop.is_set():
            messages = _sound(consumer.consume(MESSAGES, READ_SECONDS), faults, ended)
            now = time.monotonic()
            if messages:
                self._take(messages)
                self._commit(consumer, [at for at in consumer.position(mine) if at.offset >= 0])
                came = now
            elif len(ended) == len(mine) and now - max(came, self._asked) > QUIET_SECONDS:
                self._quiet.set()
            self._worked(consumer, mine)
            if now > look:
                if self._partitions(consumer) != len(mine) * self._shard.of:
                    return
                look = now + LOOK_SECONDS

    def _commit(self, consumer: "Consumer", reached: "list[TopicPartition]") -> None:
        consumer.commit(offsets=reached, asynchronous=False)

    def _worked(self, consumer: "Consumer", mine: "list[TopicPartition]") -> None:
        self._behind = sum(
            max(consumer.get_watermark_offsets(at, cached=True)[1] - at.offset, 0)
            for at in consumer.position(mine)
            if at.offset >= 0
        )
        self._error = ""
        self._backoff.worked()

    def _take(self, messages: "Sequence[Message]") -> None:
        """Returns once all are on disk: in the log, or set aside with the reason.

        Raises OSError when the disk refuses: the broker keeps them, and the topic is opened anew after a while.
        """
        events: list[dict[str, Any]] = []
        sources: list[Message] = []
        aside: list[BadRow] = []
        for message in messages:
            event = read_message(message.value(), self._shard)
            if isinstance(event, str):
                aside.append(self._set_aside(message, event))
                continue
            user = event["user_id"]
            if isinstance(user, (int, str)) and not self._may_store(user):
                self._unwanted += 1
                continue
            events.append({**event, "user_id": self._names.of(user)})
            sources.append(message)
        receipt = self._events.store(CheckedEvents.of(events, self._contract))
        aside += [self._set_aside(sources[each.row], each.reason) for each in receipt.refused]
        if file := self._quarantine.add(aside):
            log.error("%d messages are no events and lie in %s: %s", len(aside), file, aside[-1].reason)

    def _set_aside(self, message: "Message", reason: str) -> BadRow:
        """Where users have pseudonyms, only where it lies in the topic and its bad field: any of it may name a user."""
        value = message.value()
        if self._names.on:
            value = None
            reason = f"{reason.split(':')[0]}: read the message in the topic"
        return BadRow(kept_as(value, message.partition() or 0, message.offset() or 0), reason)

    def catch_up(self, seconds: float) -> bool:
        """Wait until the topic has been read to its end; whether it was."""
        self._asked = time.monotonic()
        self._quiet.clear()
        return self._quiet.wait(seconds)

    def health(self) -> LogHealth:
        """How many messages were not read yet, and why."""
        topic = self._settings.topic
        problems = {
            f"the topic {topic} is not read into the log": self._error,
            f"messages of the topic {topic} were deleted before they were read": self._deleted,
        }
        counters = {
            "behind": self._behind,
            "deleted_unread": self._deleted,
            "set_aside": self._quarantine.rows,
            "unwanted": self._unwanted,
        }
        return LogHealth(counters, tuple(f"{what}: {why}" for what, why in problems.items() if why))

    def backlog(self) -> Backlog:
        """Messages that are not read."""
        return Backlog(self._behind, len(self.health().problems))

    def close(self) -> None:
        """What was read and is not on disk is read again by whoever comes next."""
        self._stop.set()
        self._thread.join(2 * ASK_SECONDS)


def _sound(messages: "Sequence[Message]", faults: Sequence[Any], ended: set[int | None]) -> "list[Message]":
    """Those that are messages; `ended` is kept. Raises KafkaException for whatever else the client has to say.

    The topic is opened anew then, from where it was committed.
    """
    from confluent_kafka import KafkaError, KafkaException

    for fault in faults:
        raise KafkaException(fault)
    sound = []
    for message in messages:
        error = message.error()
        if error is None:
            sound.append(message)
            ended.discard(message.partition())
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        else:
            raise KafkaException(error)
    return sound
