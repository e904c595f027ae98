"""With pseudonyms nobody is named in the logs, and nothing else is another: answers, features, history, forgetting."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.cli import app as command_line
from apps.project import Opened, open_project
from apps.world.in_process import InProcess
from apps.world.world import World
from cluster.catalog.build import build_catalog
from cluster.control.search import search
from cluster.errors import ConfigError
from cluster.store.log_parts import read_part
from tests.unit.serving.http.faces import Face

KEY = "0123456789abcdef" * 4
AT = datetime(2026, 1, 5, 12, tzinfo=UTC).isoformat()
PLAN = ReplayPlan(graphs=1, every=60, min_history=2, horizon_hours=240.0, unseen=10_000)
OWN = ("request_id", "event_id", "user_id", "received_at", "graph_version", "milliseconds")
"""Columns that name users, by their words or by ours, or say when a test ran."""


@pytest.fixture(scope="module", autouse=True)
def _key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LOG_KEY", KEY)
        yield


@dataclass(frozen=True)
class Sites:
    """The same site twice, in which the same happened, and what was answered."""

    plain: Opened
    named: Opened  # by pseudonyms
    told: tuple[list[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture(scope="module", params=["int64", "string"])
def sites(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sites:
    folder = tmp_path_factory.mktemp("built")
    world = World.make(1, pins=300, boards=60, users=20, ids=request.param)
    opened = open_project(world.write(folder, {"serving": {"simulation": True}}))
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    plain, named = (site(folder, folder / "copies" / str(variable), variable) for variable in (None, "LOG_KEY"))
    return Sites(plain, named, (lived(plain), lived(named)))


def site(built: Path, folder: Path, variable: str | None) -> Opened:
    """A copy of the project, with pseudonyms or without."""
    shutil.copytree(built, folder, ignore=shutil.ignore_patterns("copies"))
    path = folder / "pinfunnel.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["logs"] = {} if variable is None else {"pseudonym_key_env": variable}
    path.write_text(yaml.safe_dump(settings))
    return open_project(path)


def logs(world: Opened) -> Path:
    return world.new_process().logs.root


def users(world: Opened) -> list[Any]:
    """Some of the inputs, and one of whom the bytes tell."""
    assert world.project.data.users is not None
    known = pq.read_table(world.project.data.users.path)["user_id"].to_pylist()[:2]
    return [*known, 7_310_055_512_345_678 if world.project.ids == "int64" else "somebody-of-note"]


def lived(world: Opened) -> list[dict[str, Any]]:
    """What everybody is answered, before a restart and after it; their events name pins that they were shown."""
    told = []
    for life in range(2):
        with InProcess(world) as inside:
            http = Face(inside.app)
            for user in users(world):
                for turn in range(2):
                    body = {"user_id": user, "at": AT, "limit": 10 + 2 * life + turn}
                    answer = http.post("/v1/homefeed/recommendations", json=body).json()
                    told.append({name: answer[name] for name in ("source", "pins", "request_id")})
                    event = {
                        "event_id": f"{len(told)}", "user_id": user, "pin_id": answer["pins"][turn]["pin_id"],
                        "action": ["save", "hide"][turn], "occurred_at": AT, "request_id": answer["request_id"],
                    }  # fmt: skip
                    assert http.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
            assert (list(search([logs(world)], user)) == []) == (world.project.logs.pseudonym_key_env is not None)
    backfill(Replay(world), "homefeed", PLAN)
    return told


def rows(world: Opened, kind: str) -> pa.Table:
    store = world.new_process().logs
    files = store.serving_files() if kind == "serving" else store.event_files()
    return pa.concat_tables([read_part(path) for path in files.paths])


def groups(users: list[Any]) -> list[int]:
    """Each one by the row where it first comes."""
    first: dict[Any, int] = {}
    return [first.setdefault(user, at) for at, user in enumerate(users)]


def test_the_logs_differ_in_nothing_but_what_users_are_called(sites: Sites) -> None:
    plain, other = sites.plain, sites.named
    assert sites.told[0] == sites.told[1], "history is found again, also after a restart"
    names = other.new_process().pseudonyms
    for kind in ("serving", "events"):
        open_rows, closed_rows = rows(plain, kind), rows(other, kind)
        assert len(open_rows) == len(closed_rows) > 20
        named = closed_rows["user_id"].to_pylist()
        assert named == [names.of(user) for user in open_rows["user_id"].to_pylist()]
        assert groups(named) == groups(open_rows["user_id"].to_pylist()), "and who is the same user still is"
        assert repr(open_rows.drop_columns(joined(open_rows)).to_pylist()) == repr(
            closed_rows.drop_columns(joined(closed_rows)).to_pylist()
        )
    requests, events = rows(other, "serving"), rows(other, "events")
    assert set(events["request_id"].to_pylist()) <= set(requests["request_id"].to_pylist()), "joins hold"
    for user in users(other):
        assert list(search([logs(other)], user)) == []
        texts = [*requests["request_id"].to_pylist(), *events["event_id"].to_pylist()]
        assert not [text for text in texts if str(user) in text.split("-")]


def joined(table: pa.Table) -> list[str]:
    return [name for name in OWN if name in table.column_names]


def test_forget_finds_whoever_is_named_otherwise(sites: Sites, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = site(Path(sites.named.project.home).parent, tmp_path / "site", "LOG_KEY")
    gone, name = users(world)[-1], world.new_process().pseudonyms.of(users(world)[-1])
    others = [user for user in rows(world, "serving")["user_id"].to_pylist() if user != name]
    assert list(search([logs(world)], name)) != []
    command = ["forget", "--user", str(gone), "--project", str(tmp_path / "site" / "pinfunnel.yaml")]
    monkeypatch.delenv("LOG_KEY")
    refused = CliRunner().invoke(command_line, command)
    assert refused.exit_code == 1
    assert "'LOG_KEY' is not set or empty" in " ".join(refused.output.split())
    monkeypatch.setenv("LOG_KEY", KEY)
    said = CliRunner().invoke(command_line, command)
    assert said.exit_code == 0, said.output
    assert list(search([Path(world.project.home)], name)) == []
    assert rows(world, "serving")["user_id"].to_pylist() == others
    with InProcess(world) as inside:
        body = {"user_id": gone, "at": AT}
        assert Face(inside.app).post("/v1/homefeed/recommendations", json=body).json()["source"] == "popular"


def test_another_key_or_none_is_refused(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    world = sites.named
    assert world.new_process().pseudonyms.on
    monkeypatch.setenv("LOG_KEY", KEY[::-1])
    with pytest.raises(ConfigError, match="holds another key than these logs were begun with"):
        _ = world.new_process().pseudonyms
    unnamed = world.project.model_copy(update={"logs": type(world.project.logs)()})
    with pytest.raises(ConfigError, match="these logs call users by pseudonyms: name the key's variable"):
        _ = Opened(unnamed, world.clients).new_process().pseudonyms
