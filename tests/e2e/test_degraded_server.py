"""A served funnel in the separate shape, its graph in two parts: damage is named, and walkers that die cost no row."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from ray import serve

from apps.faults.bundles import damage_file, publish_copy
from apps.project import Opened, open_project
from apps.serve import Server, start
from cluster.catalog.build import build_catalog
from cluster.experiments.assignment import arm_of
from cluster.experiments.definition import Experiment
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


def test_an_experiment_begins_holds_in_every_stage_and_ends_without_a_restart(served: tuple[Opened, Server]) -> None:
    opened, server = served
    url = f"{server.url}/v1/experiments"
    settings = {"sources.walk.quota": 60, "sizes.lightweight": 40, "sizes.answer": 7}
    body = {"name": "shorter", "clients": ["homefeed"], "arms": {"control": {}, "treatment": {"set": settings}}}
    experiment = Experiment.model_validate(body)
    known = opened.new_process().catalogs.current.users
    ids = known.ids.ids_of(np.arange(len(known), dtype=np.int32)).tolist()
    active = [user for user in ids if len(known.row(user).pin_ids) > 5]
    users = {arm: next(u for u in active if arm_of(experiment, u, 0) == arm) for arm in (0, 1)}
    started = calls.post(url, json=body, timeout=30)
    assert started.status_code == 200, started.text

    def reached(arm: int, exposure: list[str] | None, pins: int) -> dict[str, int]:
        """Pins that each stage keeps, once the answer is of these experiments and so long."""
        end = time.monotonic() + 60
        while True:  # a process hears of it within a second, and a busy machine leaves stages out
            answer = _ask(server, users[arm])
            kept = {stage["stage"]: stage["kept"] for stage in answer["stages"]}
            if (answer.get("experiments"), len(answer["pins"])) == (exposure, pins) and not answer["degraded"]:
                return kept
            assert time.monotonic() < end, answer

    usual = opened.clients["homefeed"].sizes.answer
    assert reached(0, ["shorter/control"], usual)["lightweight"] > 60
    treated = reached(1, ["shorter/treatment"], 7)
    assert (treated["walk"], treated["lightweight"]) == (60, 40)
    gone = {"versions": {"full": "20260101T000000-abcdef"}}
    refused = calls.post(url, json={**body, "name": "gone", "arms": {"control": {}, "treatment": gone}}, timeout=30)
    assert refused.status_code == 422
    assert "is not stored" in refused.text
    assert calls.post(f"{url}/shorter/stop", timeout=30).status_code == 200
    assert reached(1, None, usual)["lightweight"] > 60


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
    asked: list[str] = []

    def ask() -> dict[str, Any]:
        answer = _ask(server, user)
        asked.append(answer["request_id"])
        return answer

    whole = ask()
    while whole["degraded"] and len(asked) < 20:  # the first requests compile
        whole = ask()
    assert whole["source"] == "walk"

    assert _kill("walk-2") == 1
    answer = whole
    while not answer["degraded"] and len(asked) < 200:  # a kill is on its way when `ray.kill` comes back
        answer = ask()
    assert answer["degraded"] == "walk: 1 of 2 shards did not answer: walk-2"
    assert answer["source"] == "walk"
    assert answer["versions"]["graph"] == whole["versions"]["graph"]
    assert len(answer["pins"]) == len(whole["pins"])

    while answer["source"] != "popular" and len(asked) < 200:
        _kill("walk-")  # those that have come back as well
        answer = ask()
    assert answer["degraded"].startswith("walk: ")
    assert len(answer["pins"]) == len(whole["pins"])

    server.stop()  # rows are queued for an hour: only a replica that closes its log writes them
    files = opened.new_process().logs.serving_files("homefeed").paths
    logged = [row for path in files for row in pq.read_table(path, columns=["request_id"])["request_id"].to_pylist()]
    assert sorted(set(asked) & set(logged)) == sorted(asked)
    assert len(set(logged)) == len(logged)
