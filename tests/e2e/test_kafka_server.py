"""A served funnel with a broker before its event log: what it acknowledges is stored; a broker that hangs is a 503."""

from pathlib import Path
from typing import Any

import pytest
from ray import serve

from apps.project import open_project
from apps.serve import start
from cluster.catalog.build import build_catalog
from cluster.ports import free_ports
from tests.e2e.test_several_writers import batch, send, until_stored
from tests.worlds import calls
from tests.worlds.broker import Broker
from tests.worlds.toy import toy_project


@pytest.mark.usefixtures("ray_session")
def test_events_go_through_the_broker_into_the_log_and_to_their_users(tmp_path: Path) -> None:
    with Broker() as broker:
        kafka = broker.topic(4).model_dump(mode="json", exclude={"options", "password_env"})
        serving = {"port": free_ports(1)[0], "shape": "colocated", "processes": 1, "log_flush_seconds": 3600}
        events = {"sink": "kafka", "writers": 2, "kafka": kafka}
        path = toy_project(tmp_path, settings={"serving": serving, "events": events})
        opened = open_project(path)
        build_catalog(opened.project, opened.new_process().store, in_memory=True)
        server = start(str(path))
        try:
            until_stored(server.url, [*batch("a"), *batch("a")])
            assert _post(server.url, "/v1/logs/flush")["events"] == 20
            user = {"user_id": 3, "explain": True}
            assert _post(server.url, "/v1/homefeed/recommendations", user)["pins"], "a save of pin 1 starts a walk"
            if broker.ours:
                broker.hang()
                try:
                    refused = send(server.url, batch("b"))
                    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                    assert "broker" in refused.json()["detail"]
                    assert calls.get(f"{server.url}/readyz", timeout=30).json()["status"] == "degraded"
                finally:
                    broker.go_on()
            until_stored(server.url, batch("b"))
            _post(server.url, "/v1/logs/flush")
        finally:
            server.stop()
            serve.shutdown()
        stored, repeated = opened.new_process().logs.read_events()
        assert (stored.num_rows, repeated) == (40, 0)


def _post(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = calls.post(f"{url}{path}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()
