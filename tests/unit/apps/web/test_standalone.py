"""A console without a server: pages over bundles, and nothing written."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.project import Opened
from apps.web.standalone import ConsoleAlone
from cluster.errors import BundleError
from cluster.experiments.assignment import arm_of
from cluster.experiments.definition import Experiment
from tests.worlds.console import Browser
from tests.worlds.funnel import NOW, opened_world, some_user
from tests.worlds.keys import KeyFiles
from tests.worlds.toy import toy_project


def files_of(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def test_it_shows_the_funnel_and_logs_nothing(tmp_path: Path) -> None:
    world = opened_world(tmp_path)
    home = Path(world.project.home)
    before = files_of(home)
    alone = ConsoleAlone(world)
    browser = Browser(alone.app)  # type: ignore[arg-type]
    assert "Before and after" in browser.get("/console/funnel", headers={"host": "localhost"}).text
    assert "runs without a server" in browser.get("/console/health", headers={"host": "localhost"}).text
    assert browser.get("/", headers={"host": "localhost"}).headers["location"] == "/console/"
    assert files_of(home) == before


def test_the_funnel_view_shows_users_with_their_arms(tmp_path: Path) -> None:
    world = opened_world(tmp_path)
    experiment = Experiment.model_validate(
        {"name": "e", "clients": ["homefeed"], "arms": {"c": {}, "t": {"set": {"sizes.answer": 7}}}}
    )
    world.new_process().experiments.start(experiment)
    browser = Browser(ConsoleAlone(world).app)  # type: ignore[arg-type]
    known = some_user(world)
    user = next(u for u in range(known, known + 200) if arm_of(experiment, u, NOW) == 1)
    page = browser.get(f"/console/funnel?client=homefeed&user={user}", headers={"host": "localhost"}).text
    assert "in e/t ·" in page
    assert f"7 pins for user {user}" in page


def test_other_names_than_localhost_are_refused(tmp_path: Path) -> None:
    browser = Browser(ConsoleAlone(opened_world(tmp_path)).app)  # type: ignore[arg-type]
    assert browser.get("/console/funnel", headers={"host": "evil.test"}).status_code == 421


def test_a_body_beyond_the_projects_limit_is_not_read(tmp_path: Path) -> None:
    world = opened_world(tmp_path, body_bytes=2048)
    browser = Browser(ConsoleAlone(world).app)  # type: ignore[arg-type]
    headers = {"host": "localhost", "origin": "http://localhost"}
    answer = browser.post("/console/models/act", headers=headers, content=b"x" * 2049)
    assert answer.status_code == 413
    assert "serving.body_bytes" in answer.text


def test_where_the_project_has_keys_one_signs_in(tmp_path: Path) -> None:
    world = opened_world(tmp_path)
    files = KeyFiles(tmp_path)
    files.add("admin", "admin")
    alone = ConsoleAlone(Opened(world.project.model_copy(update={"access": files.access}), world.clients))
    answer = Browser(alone.app).get("/console/funnel", headers={"host": "localhost"})  # type: ignore[arg-type]
    assert answer.headers["location"] == "/console/login"


def test_without_a_graph_it_says_what_to_do(tmp_path: Path) -> None:
    path = toy_project(tmp_path)
    said = CliRunner().invoke(app, ["console", "--project", str(path)])
    assert said.exit_code == 1
    assert "no graph is built yet: run `pinfunnel build-graph` first" in said.output
    world = opened_world(tmp_path / "other")
    (Path(world.project.home) / "bundles" / "graph" / "CURRENT").unlink()
    for version in (Path(world.project.home) / "bundles" / "graph").iterdir():
        (version / "manifest.json").unlink()
    with pytest.raises(BundleError, match="no graph can be served"):
        ConsoleAlone(world)
