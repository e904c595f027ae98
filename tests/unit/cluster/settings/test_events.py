"""`events` in pinfunnel.yaml: what may be said of the sink and its writers."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import ConfigError
from cluster.settings.project import Project
from tests.unit.cluster.settings.test_settings import write

BROKERS = {"brokers": ["broker:9092"]}
TOPIC = {"topic": "events"}


def test_one_writer_of_the_log_is_the_default(tmp_path: Path) -> None:
    expected = {"sink": "log", "writers": 1, "state": {"redis": None}, "kafka": None}
    assert Project.load(write(tmp_path)).events.model_dump() == expected


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ({"writers": 0}, r"events\.writers: .*greater than or equal to 1, found 0"),
        ({"writers": 65}, r"events\.writers: .*less than or equal to 64, found 65"),
        ({"writers": "many"}, r"events\.writers: .*integer"),
        ({"sink": "redis"}, r"events\.sink: .*'log' or 'kafka', found 'redis'"),
        ({"sink": "kafka"}, r"events: .*`sink: kafka` needs `kafka` with `brokers` and `topic`"),
        ({"state": {"redis": {"url": "host:6379"}}}, r"events\.state\.redis\.url: .*expected redis://"),
        ({"state": {"redis": {"url": "redis://:secret@host"}}}, r"the password in `password_env`"),
        (
            {"state": {"redis": {"url": "redis://host", "keep_hours": 0}}},
            r"keep_hours: .*than or equal to 0\.01",
        ),
        ({"state": {"redis": {"url": "redis://host", "prefix": "a b"}}}, r"events\.state\.redis\.prefix: "),
        ({"state": {"valkey": {}}}, r"events\.state\.valkey: unknown key"),
        ({"kafka": {"brokers": [], **TOPIC}}, r"events\.kafka\.brokers: .*at least 1 item"),
        ({"kafka": {"brokers": ["broker"], **TOPIC}}, r"events\.kafka\.brokers: .*'broker': expected host:port"),
        ({"kafka": {"brokers": ["broker:kafka"], **TOPIC}}, r"events\.kafka\.brokers: .*expected host:port"),
        ({"kafka": {**BROKERS, "topic": "my events"}}, r"events\.kafka\.topic: .*pattern"),
        ({"kafka": {**BROKERS}}, r"events\.kafka\.topic: Field required"),
        ({"kafka": {**BROKERS, **TOPIC, "options": {"acks": 1}}}, r"events\.kafka\.options: .*acks: set by pinfunnel"),
        ({"kafka": {**BROKERS, **TOPIC, "password": "x"}}, r"events\.kafka\.password: unknown key"),
        ({"writer": 2}, r"events\.writer: unknown key; did you mean 'writers'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, events: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Project.load(write(tmp_path, events=events))


@pytest.mark.parametrize("events", [{"redis": {"url": "redis://me:s3cret@host"}}, {"redis": "redis://me:s3cret@host"}])
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path, events: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as told:
        Project.load(write(tmp_path, events={"state": events}))
    assert "s3cret" not in str(told.value)
    assert "//...@host" in str(told.value)


def test_a_topic_is_read_whatever_the_sink(tmp_path: Path) -> None:
    events = Project.load(write(tmp_path, events={"kafka": {**BROKERS, **TOPIC}})).events
    assert events.sink == "log"
    assert events.kafka is not None
    assert (events.kafka.brokers, events.kafka.group) == (("broker:9092",), "pinfunnel")
