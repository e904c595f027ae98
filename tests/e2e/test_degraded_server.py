"""A served funnel in the separate shape, its graph in two parts: damage is named, and walkers that die cost no row."""

import time
from collections.abc import Iterator
from contextlib import suppress
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
    settings = {"serving": serving, "graph": {"shards": 2}}
    path = toy_project(tmp_path_factory.mktemp("served"), settings=settings)
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
    damage_file(Path(store.root) / "graph" / flipped / "graph" / "part-001" / "board_pins.npy", "flip")
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


def _kill(deployments: str) -> int:
    """Kills the replicas of deployments whose names begin so, and says how many."""
    import ray

    actors = [
        one for one in ray.util.list_named_actors(all_namespaces=True) if f"pinfunnel#{deployments}" in one["name"]
    ]
    for actor in actors:
        with suppress(ValueError):  # it is gone already
            ray.kill(ray.get_actor(actor["name"], actor["namespace"]))
    return len(actors)


def test_a_part_of_the_walk_that_dies_is_marked_and_all_of_them_leave_popular_pins(
    served: tuple[Opened, Server],
) -> None:
    opened, server = served
    user = some_user(opened)
    whole = _ask(server, user)
    asked = 1
    while whole["degraded"] and asked < 20:  # the first requests compile
        whole = _ask(server, user)
        asked += 1
    assert whole["source"] == "walk"

    assert _kill("walk-2") == 1
    answer = whole
    while not answer["degraded"] and asked < 200:  # a kill is on its way when `ray.kill` comes back
        answer = _ask(server, user)
        asked += 1
    assert answer["degraded"] == "walk: 1 of 2 shards did not answer: walk-2"
    assert answer["source"] == "walk"
    assert answer["versions"]["graph"] == whole["versions"]["graph"]
    assert len(answer["pins"]) == len(whole["pins"])

    while answer["source"] != "popular" and asked < 200:
        _kill("walk-")  # those that have come back as well
        answer = _ask(server, user)
        asked += 1
    assert answer["degraded"].startswith("walk: ")
    assert len(answer["pins"]) == len(whole["pins"])

    server.stop()  # rows are queued for an hour: only a replica that closes its log writes them
    assert opened.new_process().logs.serving_files("homefeed").rows == asked
