"""A sink whose broker is not there refuses, says so and ends; what is wrong with its settings is one line."""

import asyncio
import sys

import pytest

from cluster.errors import ConfigError
from cluster.ports import free_ports
from cluster.settings.events import KafkaSettings
from serving.logs import kafka_client, kafka_sink
from serving.logs.checked_events import CheckedEvents
from serving.logs.kafka_client import check_kafka
from serving.logs.kafka_sink import KafkaSink
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.writers import CONTRACT


@pytest.fixture
def nowhere() -> KafkaSettings:
    pytest.importorskip("confluent_kafka", reason="pip install 'pinfunnel[kafka]'")
    return KafkaSettings(brokers=(f"127.0.0.1:{free_ports(1)[0]}",), topic="events")


def batch(*names: str) -> CheckedEvents:
    return CheckedEvents.of([event(name) for name in names], CONTRACT)


@pytest.fixture
def sink(nowhere: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> "KafkaSink":
    for module in (kafka_client, kafka_sink):
        monkeypatch.setattr(module, "ACK_SECONDS", 0.2)
    return KafkaSink(nowhere)


def test_without_a_broker_nothing_is_acknowledged_and_health_says_so(sink: KafkaSink) -> None:
    try:
        with pytest.raises(OSError, match="broker"):
            asyncio.run(sink.store(batch("a")))
        health = asyncio.run(sink.health())
        assert health.counters["broker_refusals"] == 1
        (problem,) = health.problems
        assert problem.startswith("events are refused, and their senders told to send them again: OSError: ")
    finally:
        sink.close()


def test_a_batch_without_a_good_event_needs_no_broker(sink: KafkaSink) -> None:
    try:
        receipt = asyncio.run(sink.store(CheckedEvents.of([event("a", action="applaud")], CONTRACT)))
        assert (receipt.accepted, [each.row for each in receipt.refused]) == (0, [0])
        assert asyncio.run(sink.health()).problems == ()
    finally:
        sink.close()


def test_events_that_no_broker_takes_are_refused_rather_than_heaped_up(
    nowhere: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_client, "WAITING_MESSAGES", 5)
    sink = KafkaSink(nowhere)
    try:
        with pytest.raises(OSError, match=r"\d events wait for the broker"):
            asyncio.run(sink.store(batch(*"abcdefgh")))
    finally:
        monkeypatch.setattr(kafka_sink, "ACK_SECONDS", 0.1)
        sink.close()


def test_options_that_are_none_are_one_line(nowhere: KafkaSettings) -> None:
    with pytest.raises(ConfigError, match=r"events\.kafka\.options: .*security\.protocl"):
        check_kafka(nowhere.model_copy(update={"options": {"security.protocl": "ssl"}}))


def test_a_password_that_is_not_set_is_named(nowhere: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUR_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="the variable OUR_PASSWORD is not set"):
        check_kafka(nowhere.model_copy(update={"password_env": "OUR_PASSWORD"}))


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(ConfigError, match=r"pip install 'pinfunnel\[kafka\]'"):
        check_kafka(KafkaSettings(brokers=("localhost:9092",), topic="events"))
