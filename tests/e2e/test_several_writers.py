"""A served funnel whose event log has two writers: one is killed, and then there is one only."""

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ray import serve

from apps.project import open_project
from apps.serve import start
from cluster.catalog.build import build_catalog
from cluster.ports import free_ports
from serving.logs.shard import shard_of
from tests.worlds import calls
from tests.worlds.toy import toy_project

USERS = range(20)


def batch(name: str) -> list[dict[str, Any]]:
    now = datetime.now(UTC).isoformat()
    fields = {"pin_id": 1, "action": "save", "occurred_at": now}
    return [{"event_id": f"{name}{user}", "user_id": user, **fields} for user in USERS]


def send(url: str, events: list[dict[str, Any]]) -> httpx.Response:
    return calls.post(f"{url}/v1/events", json={"events": events}, timeout=30)


def until_stored(url: str, events: list[dict[str, Any]]) -> None:
    """As a sender does: the same again until it is acknowledged."""
    for _ in range(100):
        answer = send(url, events)
        if answer.status_code == 200:
            assert answer.json()["accepted"] == len(events)
            return
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        time.sleep(0.2)
    raise AssertionError(answer.text)


@pytest.mark.usefixtures("ray_session")
def test_events_of_two_writers_outlive_one_of_them_and_a_change_to_one(tmp_path: Path) -> None:
    serving = {"port": free_ports(1)[0], "shape": "colocated", "processes": 1, "log_flush_seconds": 3600}
    path = toy_project(tmp_path, settings={"serving": serving, "events": {"writers": 2}})
    opened = open_project(path)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    logs = Path(opened.project.home) / "logs"
    server = start(str(path))
    try:
        until_stored(server.url, batch("a"))
        os.kill(int((logs / "wal-2" / "LOCK").read_text()), signal.SIGKILL)
        others = [event for event in batch("b") if shard_of(event["user_id"], 2) == 0]
        assert send(server.url, others).status_code == 200, "the other writer goes on"
        until_stored(server.url, batch("b"))
        health = calls.get(f"{server.url}/readyz", timeout=30).json()["event_log"]
        recovered = len([user for user in USERS if shard_of(user, 2) == 1])
        assert (health["recovered"], health["waiting"]) == (recovered, 40 - recovered)
    finally:
        server.stop()
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**settings, "events": {"writers": 1}}))
    server = start(str(path))
    try:
        until_stored(server.url, [*batch("a"), *batch("b")])
        assert calls.post(f"{server.url}/v1/logs/flush", timeout=30).json()["events"] == 0
        assert not (logs / "wal-2").exists()
    finally:
        server.stop()
        serve.shutdown()
    stored, repeated = opened.new_process().logs.read_events()
    assert (stored.num_rows, repeated) == (40, 0)
