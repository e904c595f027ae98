"""A served funnel in the separate shape: damaged bundles are named by health, and a walker that dies costs no row."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray import serve

from apps.faults.bundles import damage_file, publish_copy
from apps.project import Opened, open_project
from apps.serve import Server, start
from cluster.catalog.build import build_catalog
from cluster.ports import free_ports
from tests.worlds import calls
from tests.worlds.bundles import pointer_of
from tests.worlds.funnel import some_user
from tests.worlds.toy import toy_project


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Iterator[tuple[Opened, Server]]:
    serving = {"port": free_ports(1)[0], "shape": "separate", "deadline_ms": 3000, "log_flush_seconds": 3600}
    path = toy_project(tmp_path_factory.mktemp("served"), settings={"serving": serving})
    opened = open_project(path)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    server = start(str(path))
    yield opened, server
    server.stop()
    serve.shutdown()  # the port is Serve's until then, and the next test's server has another


def _ask(server: Server, user: int) -> dict[str, Any]:
    url = f"{server.url}/v1/homefeed/recommendations"
    answer = calls.post(url, json={"user_id": user}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _health(server: Server, status: str) -> dict[str, Any]:
    """What health says once its status is `status`; every replica looks by itself."""
    for _ in range(100):
        answer = calls.get(f"{server.url}/readyz", timeout=30)
        assert answer.status_code == 200, answer.text
        if answer.json()["status"] == status:
            break
        time.sleep(0.2)
    assert answer.json()["status"] == status
    told: dict[str, Any] = answer.json()
    return told


def test_health_names_what_any_stage_had_to_set_aside(served: tuple[Opened, Server]) -> None:
    opened, server = served
    store = opened.new_process().store
    graph = store.current("graph")
    told = _health(server, "ok")
    assert told["versions"]["graph"] == graph
    assert told["versions"]["full"] is None

    flipped = publish_copy(store, "graph", publish=False)
    damage_file(Path(store.root) / "graph" / flipped / "graph" / "board_pins.npy", "flip")
    store.publish("graph", flipped)
    problems = _health(server, "degraded")["problems"]
    assert [(one["kind"], one["version"], one["serving"]) for one in problems] == [("graph", flipped, graph)]
    models = calls.get(f"{server.url}/v1/models", timeout=30).json()
    assert models["graph"] == graph
    assert models["set_aside"][0]["version"] == flipped
    answer = calls.post(f"{server.url}/v1/notifications/recommendations", json={}, timeout=30)
    assert answer.json()["versions"]["graph"] == graph
    store.publish("graph", str(graph))
    _health(server, "ok")

    pointer = pointer_of(store, "lightweight/homefeed")  # only another stage looks at it
    pointer.parent.mkdir(parents=True)
    pointer.write_bytes(b"\xff\xfe")
    problems = _health(server, "degraded")["problems"]
    assert [(one["kind"], one["version"]) for one in problems] == [("lightweight/homefeed", None)]
    pointer.unlink()
    _health(server, "ok")


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
    answer = whole
    while not answer["degraded"] and asked < 200:  # a kill is on its way when `ray.kill` comes back
        answer = _ask(server, user)
        asked += 1
    assert answer["degraded"].startswith("walk: ")
    assert answer["source"] == "popular"
    assert answer["versions"]["graph"] == whole["versions"]["graph"]
    assert len(answer["pins"]) == len(whole["pins"])

    server.stop()  # rows are queued for an hour: only a replica that closes its log writes them
    assert opened.new_process().logs.serving_files("homefeed").rows == asked
