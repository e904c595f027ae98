"""A topic as a sink: events are durable once the broker has acknowledged every one of a batch."""

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cluster.errors import in_short
from cluster.settings.events import KafkaSettings
from serving.logs.checked_events import CheckedEvents
from serving.logs.health import LogHealth
from serving.logs.kafka_client import ACK_SECONDS, producer_of
from serving.logs.kafka_messages import message_of
from serving.logs.receipt import Receipt
from serving.logs.shard import user_key
from serving.logs.sink import EventSink

if TYPE_CHECKING:
    from confluent_kafka import Producer

POLL_SECONDS = 0.1
ASK_SECONDS = 1.0
"""How long a broker that failed is asked whether it is back."""


class Delivery:
    """What a batch waits for: the word of the broker on each message. Told by librdkafka's thread."""

    def __init__(self, messages: int):
        """Made in the loop that waits."""
        self._loop = asyncio.get_running_loop()
        self._left = messages
        self._error: Any = None
        self.outcome: asyncio.Future[Any] = self._loop.create_future()

    def told(self, error: Any, message: Any) -> None:
        """One message is acknowledged, or it will not be."""
        self._left -= 1
        self._error = self._error or error
        if self._left == 0:
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self.outcome.done():  # by who waited no longer
            self.outcome.set_result(self._error)


class KafkaSink(EventSink):
    """A producer of one process. Its events count for their users once the log has read them from the topic."""

    def __init__(self, settings: KafkaSettings):
        """Raises ConfigError without the client, or for options that are none; no broker is asked."""
        self._settings = settings
        self._producers: list[Producer] = [producer_of(settings)]  # the last one takes events
        self._refusals = 0
        self._error = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka-sink", daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        """Has callbacks called, and producers go that another has taken the place of."""
        while not self._stop.is_set():
            self._producers[-1].poll(POLL_SECONDS)
            for spent in self._producers[:-1]:
                spent.purge()
                spent.poll(0)
                if not len(spent):
                    self._producers.remove(spent)

    async def store(self, checked: CheckedEvents) -> Receipt:
        """Acknowledged by all replicas in sync when it returns."""
        if checked.rows:
            try:
                await self._send(checked)
            except OSError as error:
                self._refusals += 1
                self._error = in_short(error)
                raise
            self._error = ""
        return Receipt(len(checked.rows), list(checked.refused))

    async def _send(self, checked: CheckedEvents) -> None:
        from confluent_kafka import KafkaException

        delivery = Delivery(len(checked.rows))
        producer = self._producers[-1]
        try:
            for row in checked.rows.values():
                producer.produce(
                    self._settings.topic, message_of(row), user_key(row["user_id"]), on_delivery=delivery.told
                )
            refused = await asyncio.wait_for(delivery.outcome, ACK_SECONDS)
        except BufferError as error:
            raise OSError(f"{len(producer)} events wait for the broker") from error
        except TimeoutError as error:
            self._give_up(producer)
            raise OSError(f"no broker of {', '.join(self._settings.brokers)} has acknowledged them") from error
        except KafkaException as error:
            self._give_up(producer)
            raise OSError(f"broker: {error.args[0].str()}") from error
        if refused is not None:
            self._give_up(producer)
            raise OSError(f"broker: {refused.str()}")

    def _give_up(self, producer: "Producer") -> None:
        """After a failure an idempotent producer may be refused for ever, as one whose messages are out of order."""
        if producer is self._producers[-1]:
            self._producers.append(producer_of(self._settings))

    async def health(self) -> LogHealth:
        """What waits for the broker, and whether it refuses; after a failure it is asked whether it is back."""
        if self._error:
            with suppress(Exception):
                await asyncio.to_thread(self._producers[-1].list_topics, self._settings.topic, ASK_SECONDS)
                self._error = ""
        problem = f"events are refused, and their senders told to send them again: {self._error}"
        counters = {"unacknowledged": sum(map(len, list(self._producers))), "broker_refusals": self._refusals}
        return LogHealth(counters, (problem,) if self._error else ())

    def close(self) -> None:
        """Wait for the broker's word on what was sent, no longer than senders do."""
        self._producers[-1].flush(ACK_SECONDS)
        self._stop.set()
        self._thread.join(10 * POLL_SECONDS)
