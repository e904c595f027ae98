"""A served funnel whose ingress reads users' state from Redis, as one on another machine does; Redis goes and comes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray import serve

from apps.project import open_project
from apps.serve import start
from cluster.catalog.build import build_catalog
from cluster.ports import free_ports
from serving.logs.redis_client import key_of_user
from serving.logs.state_folder import POINTER, machine_folder
from tests.e2e.test_several_writers import batch, send
from tests.worlds import calls
from tests.worlds.redis_server import RedisServer
from tests.worlds.toy import toy_project


@pytest.mark.usefixtures("ray_session")
def test_users_are_known_by_way_of_redis_and_without_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        serving = {"port": free_ports(1)[0], "shape": "colocated", "processes": 1}
        state = {"redis": redis.settings.model_dump(mode="json", exclude={"password_env"})}
        path = toy_project(tmp_path, settings={"serving": serving, "events": {"state": state}})
        opened = open_project(path)
        build_catalog(opened.project, opened.new_process().store, in_memory=True)
        server = start(str(path))
        try:
            (machine_folder(opened.new_process().logs.root) / POINTER).unlink()  # nothing is at hand on this machine
            assert send(server.url, batch("a")).status_code == 200
            until(lambda: redis.client.exists(key_of_user(redis.settings, 3)) == 1)
            assert saved_pin_starts_a_walk(server.url)
            assert health(server.url)["status"] == "ok"
            redis.kill()
            assert send(server.url, batch("b")).status_code == 200
            assert saved_pin_starts_a_walk(server.url)
            until(lambda: "not written to Redis" in str(health(server.url)["problems"]))
            redis.start()
            until(lambda: health(server.url)["status"] == "ok")
            until(lambda: redis.client.exists(key_of_user(redis.settings, 3)) == 1)
            assert saved_pin_starts_a_walk(server.url)
        finally:
            server.stop()
            serve.shutdown()


def saved_pin_starts_a_walk(url: str) -> bool:
    answer = calls.post(f"{url}/v1/homefeed/recommendations", json={"user_id": 3}, timeout=60).json()
    return bool(answer["pins"]) and "events: " not in answer["degraded"]


def health(url: str) -> Any:
    return calls.get(f"{url}/readyz", timeout=30).json()


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it never came true")
