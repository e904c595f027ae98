"""`events` in pinfunnel.yaml: where events become durable, and how many processes write the event log."""

from typing import Literal

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


class EventSettings(Settings):
    """The way of an event from the API to the log that training reads."""

    sink: Literal["log", "kafka"] = Field(
        "log", description="log: the event log's own files below `home`; kafka: a topic, from which the log is written"
    )
    writers: int = Field(
        1, ge=1, le=MOST_WRITERS, description="processes that write the event log, each for its share of the users"
    )
    kafka: KafkaSettings | None = Field(None, description="a topic that is read into the log, whatever the sink is")

    @model_validator(mode="after")
    def _a_topic_for_kafka(self) -> "EventSettings":
        if self.sink == "kafka" and self.kafka is None:
            raise ValueError("`sink: kafka` needs `kafka` with `brokers` and `topic`")
        return self
