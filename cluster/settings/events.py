"""`events` in pinfunnel.yaml: where events become durable, and how many processes write the event log."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from cluster.settings.parsing import Settings

MOST_WRITERS = 64
OURS = frozenset(
    (
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "delivery.timeout.ms",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "message.timeout.ms",
        "metadata.broker.list",
        "partitioner",
        "request.required.acks",
    )
)
"""Options of librdkafka on which it depends that nothing is lost."""


class KafkaSettings(Settings):
    """A topic of events, at any broker that speaks Kafka's protocol. A message is an event, its key the user's id."""

    brokers: tuple[str, ...] = Field(min_length=1, description="`host:port` of some brokers; they name the others")
    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$", description="must be there; its partitions split the users")
    group: str = Field("pinfunnel", min_length=1, description="under which it is noted how far the topic was read")
    options: dict[str, str | int | float | bool] = Field({}, description="of librdkafka, like `security.protocol`")
    password_env: str | None = Field(None, description="variable with `sasl.password`")

    @field_validator("brokers")
    @classmethod
    def _addresses(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        for broker in brokers:
            host, _, port = broker.rpartition(":")
            if not host or not port.isdecimal():
                raise ValueError(f"{broker!r}: expected host:port")
        return brokers

    @field_validator("options")
    @classmethod
    def _not_ours(cls, options: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
        if taken := sorted(OURS & set(options)):
            raise ValueError(f"{', '.join(taken)}: set by pinfunnel, so that no acknowledged event is lost")
        return options


class RedisSettings(Settings):
    """A Redis or Valkey server that keeps users' state for ingresses of all machines. Not a cluster of them."""

    url: str = Field(description="`redis://host:6379/0`, `rediss://` for TLS, or `unix:///path`; no password in it")
    password_env: str | None = Field(None, description="variable with the password")
    prefix: str = Field("pinfunnel", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="of its keys; one for each project")
    keep_hours: float = Field(
        24.0, ge=0.01, le=24 * 365, description="a user of whom nothing came and nobody asked for so long is dropped"
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        if not re.fullmatch(r"(rediss?://([^/@:]+@)?[^/@?#\s]+(/\d+)?|unix://([^/@:]+@)?/[^@\s]+)(\?[^@\s]*)?", url):
            raise ValueError("expected redis://[user@]host:port/database, and the password in `password_env`")
        try:
            _ = urlsplit(url).port
        except ValueError as error:
            raise ValueError(f"{url!r}: {error}") from None
        return url


class StateSettings(Settings):
    """What users did, hid and were shown lately: each machine has what its writers know; others ask them."""

    redis: RedisSettings | None = Field(None, description="a server that machines without the user's writer read")


class EventSettings(Settings):
    """The way of an event from the API to the log that training reads."""

    sink: Literal["log", "kafka"] = Field(
        "log", description="log: the event log's own files below `home`; kafka: a topic, from which the log is written"
    )
    writers: int = Field(
        1, ge=1, le=MOST_WRITERS, description="processes that write the event log, each for its share of the users"
    )
    state: StateSettings = Field(StateSettings(), description="of users, shared by ingresses")
    kafka: KafkaSettings | None = Field(None, description="a topic that is read into the log, whatever the sink is")

    @model_validator(mode="after")
    def _a_topic_for_kafka(self) -> "EventSettings":
        if self.sink == "kafka" and self.kafka is None:
            raise ValueError("`sink: kafka` needs `kafka` with `brokers` and `topic`")
        return self
