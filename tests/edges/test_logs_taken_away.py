"""Somebody moves or removes a running server's logs: acknowledged means stored, and health says what is wrong."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.project import Opened
from apps.world.in_process import InProcess
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, some_user


class OwnLogs:
    """A world's server, its home, and how to ask it."""

    def __init__(self, world: Opened, app: InProcess):
        self.app = app
        self.home = Path(world.project.home)
        self._face = Face(app.app)
        self._user = some_user(world)
        self._logs = world.new_process().logs

    def send(self, name: str) -> Any:
        event = {"event_id": name, "user_id": self._user, "pin_id": 1, "action": "save"}
        return self._face.post("/v1/events", json={"events": [{**event, "occurred_at": "2026-01-04T00:00:00Z"}]})

    def ask(self) -> str:
        answer = self._face.post("/v1/homefeed/recommendations", json={"user_id": self._user})
        assert answer.status_code == 200
        return str(answer.json()["request_id"])

    def health(self) -> Any:
        return self._face.get("/readyz").json()

    def stored(self) -> tuple[list[str], int]:
        """Ids of the events and the number of requests in Parquet."""
        table, repeated = self._logs.read_events()
        assert repeated == 0
        return sorted(table["event_id"].to_pylist()), self._logs.serving_files().rows


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnLogs]:
    world = opened_world(tmp_path)
    with InProcess(world) as app:
        yield OwnLogs(world, app)


def test_logs_that_are_moved_away_begin_anew(server: OwnLogs) -> None:
    server.send("before")
    server.ask()
    (server.home / "logs").rename(server.home / "moved")
    assert server.send("after").status_code == 200
    server.ask()
    server.app.flush()
    assert server.stored() == (["after", "before"], 2)
    assert server.health()["status"] == "ok"


def test_logs_that_are_removed_begin_anew(server: OwnLogs) -> None:
    server.send("before")
    shutil.rmtree(server.home / "logs")
    assert server.send("after").status_code == 200
    server.app.flush()
    assert server.stored() == (["after", "before"], 0)


def test_where_no_folder_can_be_made_events_are_refused_and_health_says_why(server: OwnLogs) -> None:
    server.send("before")
    logs = server.home / "logs"
    logs.rename(server.home / "moved")
    logs.write_text("a file where the folder was")
    refused = server.send("refused")
    assert refused.status_code == 503
    assert "events not stored, send them again: " in refused.json()["detail"]
    assert str(logs) in refused.json()["detail"]
    server.ask()
    with pytest.raises(OSError, match="logs"):
        server.app.flush()
    told = server.health()
    assert told["status"] == "degraded"
    assert {problem["kind"] for problem in told["problems"]} == {"serving_log", "event_log"}
    assert all(str(logs) in problem["reason"] for problem in told["problems"])
    assert told["event_log"]["refusals"] == 1
    logs.unlink()
    assert server.send("refused").status_code == 200
    server.app.flush()
    assert server.stored() == (["before", "refused"], 1)
    assert server.health()["status"] == "ok"
    assert server.health()["problems"] == []
