"""A user is forgotten while a server runs: unknown with the order, and in no byte on disk when the command returns."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ray import serve

from apps.project import open_project
from apps.serve import start
from cluster.catalog.build import build_catalog
from cluster.control.search import search
from cluster.ports import free_ports
from serving.deploy.forget import forget_users
from tests.worlds import calls
from tests.worlds.toy import toy_project

USER = 7_310_055_512_345_678
OTHER = 7_310_055_512_345_679


def event(name: str, user: int, pin: int) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"event_id": f"{name} {user}", "user_id": user, "pin_id": pin, "action": "save", "occurred_at": now}


@pytest.mark.usefixtures("ray_session")
def test_a_running_server_lets_go_of_a_user(tmp_path: Path) -> None:
    serving = {"port": free_ports(1)[0], "shape": "colocated", "processes": 1, "deadline_ms": 10_000}
    path = toy_project(tmp_path, settings={"serving": serving})
    opened = open_project(path)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    home = Path(opened.project.home)
    server = start(str(path))
    ask = f"{server.url}/v1/homefeed/recommendations"
    try:
        pins = [pin["pin_id"] for pin in calls.post(ask, json={}, timeout=60).json()["pins"]][:5]
        events = [event(f"e{pin}", user, pin) for user in (USER, OTHER) for pin in pins]
        assert calls.post(f"{server.url}/v1/events", json={"events": events}, timeout=60).json()["accepted"] == 10

        def source(user: int) -> str:
            return str(calls.post(ask, json={"user_id": user}, timeout=60).json()["source"])

        assert (source(USER), source(OTHER)) == ("walk", "walk")
        assert list(search([home], USER))
        forget_users(opened.new_process(), [USER])
        assert list(search([home], USER)) == []
        assert list(search([home], OTHER))
        assert calls.post(f"{server.url}/v1/logs/flush", timeout=60).status_code == 200  # rows that waited in memory
        assert list(search([home], USER)) == []
        assert (source(USER), source(OTHER)) == ("popular", "walk")
    finally:
        server.stop()
        serve.shutdown()
    assert [line for line in search([home], OTHER) if "/serving/" in line]
