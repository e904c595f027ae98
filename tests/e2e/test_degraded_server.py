"""A served funnel in the separate shape whose walker dies: people still get pins, and no row of the log is lost."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from ray import serve

from apps.demo.demo import free_port
from apps.project import Opened, open_project
from apps.serve import Server, start
from cluster.catalog.build import build_catalog
from tests.worlds.funnel import some_user
from tests.worlds.toy import toy_project


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Iterator[tuple[Opened, Server]]:
    serving = {"port": free_port(), "shape": "separate", "deadline_ms": 3000, "log_flush_seconds": 3600}
    path = toy_project(tmp_path_factory.mktemp("served"), settings={"serving": serving})
    opened = open_project(path)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    server = start(str(path))
    yield opened, server
    server.stop()
    serve.shutdown()  # the port is Serve's until then, and the next test's server has another


def _ask(server: Server, user: int) -> dict[str, Any]:
    url = f"{server.url}/v1/homefeed/recommendations"
    answer = httpx.post(url, json={"user_id": user}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_without_a_walker_people_get_popular_pins_and_no_row_is_lost(served: tuple[Opened, Server]) -> None:
    import ray

    opened, server = served
    user = some_user(opened)
    whole = _ask(server, user)
    asked = 1
    while whole["degraded"] and asked < 20:  # the first requests compile
        whole = _ask(server, user)
        asked += 1
    assert whole["source"] == "walk"

    walkers = [a for a in ray.util.list_named_actors(all_namespaces=True) if "pinfunnel#walk" in a["name"]]
    assert len(walkers) == 1
    ray.kill(ray.get_actor(walkers[0]["name"], walkers[0]["namespace"]))
    answer = _ask(server, user)
    assert answer["degraded"].startswith("walk: ")
    assert answer["source"] == "popular"
    assert answer["versions"]["graph"] == whole["versions"]["graph"]
    assert len(answer["pins"]) == len(whole["pins"])

    server.stop()  # rows are queued for an hour: only a replica that closes its log writes them
    assert opened.new_process().logs.serving_files("homefeed").rows == asked + 1
