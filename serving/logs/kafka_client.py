"""Clients of a Kafka broker, set up so that nothing acknowledged is lost. librdkafka (confluent-kafka) is an extra."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cluster.errors import ConfigError
from cluster.settings.events import KafkaSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

log = logging.getLogger(__name__)

ACK_SECONDS = 4.0
"""A broker has so long to acknowledge; the sender of the events is told a second later in any case."""
WAITING_MESSAGES = 100_000
"""Events that may wait for the broker in a process; beyond it they are refused."""


def producer_of(settings: KafkaSettings) -> "Producer":
    """Messages are acknowledged by all replicas in sync, and there once however often they are sent.

    Raises ConfigError without the extra, or for options that are none.
    """
    try:
        from confluent_kafka import Producer
    except ImportError:
        raise _no_client() from None
    return _made(
        Producer,
        settings,
        {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "consistent",  # CRC-32 of the key: serving/logs/shard.py
            "linger.ms": 5,
            "delivery.timeout.ms": round(ACK_SECONDS * 1e3),
            "queue.buffering.max.messages": WAITING_MESSAGES,
        },
    )


def consumer_of(settings: KafkaSettings, failed: Callable[[Any], None]) -> "Consumer":
    """A reader that commits only when it is told to; `failed` is told what the client has to say of its brokers.

    Raises ConfigError as `producer_of`.
    """
    try:
        from confluent_kafka import Consumer
    except ImportError:
        raise _no_client() from None
    return _made(
        Consumer,
        settings,
        {
            "group.id": settings.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "error_cb": failed,
        },
    )


def check_kafka(settings: KafkaSettings) -> None:
    """Raises ConfigError for what every process would refuse; no broker is asked."""
    producer_of(settings)


def _made(kind: Any, settings: KafkaSettings, ours: Mapping[str, Any]) -> Any:
    from confluent_kafka import KafkaException

    options = {**settings.options, **ours, "bootstrap.servers": ",".join(settings.brokers)}
    if settings.password_env is not None:
        if not os.environ.get(settings.password_env):
            raise ConfigError(f"events.kafka.password_env: the variable {settings.password_env} is not set")
        options["sasl.password"] = os.environ[settings.password_env]
    try:
        return kind(options, logger=log)
    except (KafkaException, ValueError, TypeError) as error:
        raise ConfigError(f"events.kafka.options: {error}") from None


def _no_client() -> ConfigError:
    return ConfigError("events.kafka: the client is not installed: pip install 'pinfunnel[kafka]'")
