"""A site whose home is an object store: bundles and logs lie there, and what is appended to in a folder beside it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from apps.cli import app as command_line
from apps.project import Opened, open_project
from apps.world.in_process import InProcess
from cluster.catalog.build import build_catalog
from serving.deploy.forget import forget_users
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import some_user
from tests.worlds.toy import toy_project

PATH = "/v1/homefeed/recommendations"
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def site(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """With a graph, built here. Where nothing may be made by mistake is the folder that we are in."""
    monkeypatch.setenv("PINFUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    settings = {"home": f"{s3}/site", "local": "local", "serving": {"simulation": True}}
    opened = open_project(toy_project(tmp_path / "project", settings=settings))
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    return opened


def ask(inside: InProcess, user: int, second: int = 0) -> dict[str, Any]:
    """A request, unlike those of other seconds."""
    at = (AT + timedelta(seconds=second)).isoformat()
    answer: dict[str, Any] = Face(inside.app).post(PATH, json={"user_id": user, "at": at}).json()
    return answer


def act(inside: InProcess, user: int, event: str, pin: int = 1) -> None:
    """An event that is acknowledged."""
    row = {"event_id": event, "user_id": user, "pin_id": pin, "action": "save", "occurred_at": AT.isoformat()}
    assert Face(inside.app).post("/v1/events", json={"events": [row]}).json()["accepted"] == 1


def logged(site: Opened) -> tuple[int, list[str]]:
    """Requests and ids of events in Parquet."""
    logs = site.new_process().logs
    events = logs.read_events()[0]
    return logs.serving_files().rows, sorted(events["event_id"].to_pylist()) if len(events) else []


def test_it_serves_logs_swaps_forgets_and_prunes(site: Opened, tmp_path: Path) -> None:
    user = some_user(site)
    settings = str(tmp_path / "project" / "pinfunnel.yaml")
    with InProcess(site) as inside:
        first = ask(inside, user, 1)
        act(inside, user, "one", first["pins"][0]["pin_id"])
        inside.flush()
        ask(inside, user, 2)
        act(inside, user, "two")
        inside.flush()
        assert logged(site) == (2, ["one", "two"])
        done = CliRunner().invoke(command_line, ["compact-logs", "-p", settings])
        assert (done.exit_code, logged(site)) == (0, (2, ["one", "two"])), done.output
        assert site.new_process().logs.serving_files().paths[0].rpartition("/")[2].startswith("compact-")
        forgotten = Thread(target=forget_users, args=(site.new_process(), [user]))
        forgotten.start()
        while forgotten.is_alive():
            inside.flush()  # as the server's own threads do
            forgotten.join(0.2)
        assert logged(site) == (0, [])
        inside.swap()
        after = ask(inside, user, 3)
        assert after["versions"]["graph"] == f"{first['versions']['graph']}~1"
        assert (first["source"], after["source"]) == ("walk", "popular")
    done = CliRunner().invoke(command_line, ["bundles", "prune", "-p", settings])
    assert done.exit_code == 0, done.output
    told = CliRunner().invoke(command_line, ["status", "-p", settings])
    assert told.exit_code == 0, told.output
    assert after["versions"]["graph"] in told.output
    assert "log of serving: " in told.output
    assert {path.name for path in tmp_path.iterdir()} == {"project", "cache"}, "nothing is made by mistake"
    assert not list((tmp_path / "project" / "local").rglob("*.parquet"))


def test_events_are_taken_while_the_store_is_away_and_stored_once_it_is_back(
    site: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = some_user(site)
    with InProcess(site) as inside:
        with monkeypatch.context() as away:
            away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            ask(inside, user)
            act(inside, user, "one")
            with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
                inside.flush()
            told = Face(inside.app).get("/readyz").json()
            assert "requests wait for the disk" in str(told["problems"])
        inside.flush()
        assert logged(site) == (1, ["one"])
        act(inside, user, "two")
        endpoint = os.environ["AWS_ENDPOINT_URL"]
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # and so the server ends
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert logged(site)[1] == ["one"]
    with InProcess(site):
        assert logged(site)[1] == ["one", "two"], "from the write-ahead file that lies in `local`"


@pytest.mark.parametrize("command", [["validate"], ["bundles", "prune"], ["compact-logs"], ["status"]])
def test_a_store_that_is_away_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    project = toy_project(tmp_path, settings={"home": "s3://bucket/x", "local": "local"})
    done = CliRunner().invoke(command_line, [*command, "-p", str(project)])
    assert done.exit_code == 1, done.output
    assert "error: " in done.output
    assert "object store: " in done.output
    assert "Traceback" not in done.output
