"""A user who is forgotten is in no byte on disk, unknown at once to what runs, and new when something comes later."""

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import cluster.control.logs
from apps.cli import app as command_line
from apps.project import Opened, open_project
from apps.world.in_process import InProcess
from cluster.catalog.build import build_catalog
from cluster.catalog.users import UserTable
from cluster.control.forgotten import Forgotten
from cluster.control.logs import sweep_logs
from cluster.control.search import search
from cluster.store.local import LocalFolder
from serving.deploy.forget import forget_users
from tests.unit.serving.http.faces import Face
from tests.worlds.toy import toy_project

USER = 7_310_055_512_345_678
OTHER = 7_310_055_512_345_679
PATH = "/v1/homefeed/recommendations"
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def world_with(folder: Path) -> Opened:
    """A project whose graph knows two users more, whom the inputs do not name any longer."""
    opened = open_project(toy_project(folder, settings={"serving": {"simulation": True}}))
    events = Path(opened.project.data.events.path)  # type: ignore[union-attr]
    file = events if events.is_file() else next(events.rglob("*.parquet"))
    before = file.read_bytes()
    table = pq.read_table(file)
    pins = pq.read_table(opened.project.data.edges.path)["pin_id"].unique().to_pylist()
    rows: dict[str, Any] = {
        "user_id": [USER, OTHER] * 10,
        "pin_id": pins[:20],
        "action": ["hide", "hide", *["save"] * 18],
        "occurred_at": pa.array([AT - timedelta(hours=h) for h in range(20)], table.schema.field("occurred_at").type),
    }
    more = {f.name: pa.array(rows[f.name], f.type) if f.name in rows else pa.nulls(20, f.type) for f in table.schema}
    pq.write_table(pa.concat_tables([table, pa.table(more, schema=table.schema)]), file)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    file.write_bytes(before)
    return opened


def live(inside: InProcess, user: int, times: int = 1) -> None:
    """Requests, events and a choice of a user."""
    http = Face(inside.app)
    for _ in range(times):
        answer = http.post(PATH, json={"user_id": user, "at": AT.isoformat()}).json()
        pin = answer["pins"][0]["pin_id"]
        event = {
            "event_id": f"{user}-{answer['request_id']}-{live.count}",  # type: ignore[attr-defined]
            "user_id": user, "pin_id": pin, "action": "hide", "occurred_at": AT.isoformat(),
            "request_id": answer["request_id"],
        }  # fmt: skip
        live.count += 1  # type: ignore[attr-defined]
        assert http.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
    http.post("/v1/users/choices", json={"user_id": user, "hide": {"boards": [1]}})


live.count = 0  # type: ignore[attr-defined]


def source(inside: InProcess, user: int) -> str:
    """What the candidates of a user come from: of one who is not known, popular pins alone."""
    return str(Face(inside.app).post(PATH, json={"user_id": user, "at": AT.isoformat()}).json()["source"])


def lived(folder: Path) -> Opened:
    """A world in which both users left something everywhere: merged, replaced and plain files, torn and set aside."""
    world = world_with(folder)
    with InProcess(world) as inside:
        for _ in range(2):
            for user in (USER, OTHER):
                live(inside, user, 2)
            inside.flush()
    logs = world.new_process().logs
    for day in {*logs.dates("serving"), *logs.dates("events")}:
        logs.compact(day)
    with InProcess(world) as inside:
        live(inside, USER)
        live(inside, OTHER)
    aside = logs.root / "quarantine" / "events-1.jsonl"
    aside.parent.mkdir(exist_ok=True)
    aside.write_text(f'{{"reason":"x","row":{{"user_id":{USER}}}}}\n{{"reason":"x","row":{{"user_id":{OTHER}}}}}\n')
    return world


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a world, to be copied."""
    folder = tmp_path_factory.mktemp("once")
    lived(folder)
    return folder


@pytest.fixture
def world(once: Path, tmp_path: Path) -> Opened:
    shutil.copytree(once, tmp_path / "site")
    return open_project(tmp_path / "site" / "pinfunnel.yaml")


def home(world: Opened) -> Path:
    return Path(world.project.home)


def left(world: Opened, user: int = USER) -> list[str]:
    return list(search([home(world)], user))


def rows_of(world: Opened) -> list[tuple[str, ...]]:
    """All rows of both logs that are not the user's, each once."""
    logs = world.new_process().logs
    found = set()
    for files in (logs.serving_files(), logs.event_files()):
        for path in files.paths:
            for row in pq.ParquetFile(path).read().to_pylist():
                if row["user_id"] != USER:
                    found.add(repr(sorted(row.items(), key=lambda item: item[0])))
    return sorted(found)  # type: ignore[arg-type]


def test_no_byte_is_left_and_nothing_of_others_is_lost(world: Opened, tmp_path: Path) -> None:
    before, others = rows_of(world), len(left(world, OTHER))
    assert len({line.split(":")[0] for line in left(world)}) >= 8, "else there was nothing to forget"
    versions = world.new_process().store.versions("graph")
    said = CliRunner().invoke(
        command_line, ["forget", "--user", str(USER), "--project", str(tmp_path / "site" / "pinfunnel.yaml")]
    )
    assert said.exit_code == 0, said.output
    assert "every byte" in said.output
    assert left(world) == []
    assert rows_of(world) == before
    assert len(left(world, OTHER)) == others
    store = world.new_process().store
    assert [version.split("~")[0] for version in store.versions("graph")] == versions
    users = world.new_process().catalogs.verified(store.current("graph") or "").users
    assert not users.row(USER).known
    assert len(users.row(OTHER).pins) == 10
    again = forget_users(world.new_process(), [USER])
    assert (again.rows, again.graphs) == (0, [])


def test_a_server_that_runs_forgets_at_once_and_what_is_on_its_way_too(tmp_path: Path) -> None:
    world = world_with(tmp_path)
    with InProcess(world) as inside:
        live(inside, USER, 3)
        live(inside, OTHER, 3)
        assert [source(inside, user) for user in (USER, OTHER, -1)] == ["walk", "walk", "popular"]
        world.new_process().forgotten.forget([USER])  # what holds at once; nothing is removed yet
        assert [source(inside, user) for user in (USER, OTHER, -1)] == ["popular", "walk", "popular"]
        done = threading.Thread(target=forget_users, args=(world.new_process(), [USER]))
        done.start()
        while done.is_alive():
            inside.flush()  # as the server's own threads do
            done.join(0.2)
        inside.flush()
        assert left(world) == []
        assert source(inside, OTHER) == "walk"
        now = datetime.now(UTC).isoformat()
        pin = Face(inside.app).post(PATH, json={}).json()["pins"][0]["pin_id"]
        event = {"event_id": "new", "user_id": USER, "pin_id": pin, "action": "save", "occurred_at": now}
        http = Face(inside.app)
        assert http.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
        assert http.post(PATH, json={"user_id": USER}).json()["source"] == "walk", "a new life, which is known"
        inside.flush()
        assert left(world) != []


@pytest.mark.parametrize("killed", ["part 0", "part 3", "users", "publish", "remove"])
def test_killed_half_way_and_run_again_it_is_whole(world: Opened, monkeypatch: pytest.MonkeyPatch, killed: str) -> None:
    before = rows_of(world)

    def dies(at: int, real: Callable[..., Any]) -> Callable[..., Any]:
        calls = iter(range(10**6))

        def call(*args: Any, **named: Any) -> Any:
            if next(calls) == at:
                raise KeyboardInterrupt
            return real(*args, **named)

        return call

    with monkeypatch.context() as patched:
        what, _, number = killed.partition(" ")
        if what == "part":
            patched.setattr(cluster.control.logs, "replace_part", dies(int(number), cluster.control.logs.replace_part))
        elif what == "users":
            patched.setattr(UserTable, "save_without", dies(1, UserTable.save_without))
        elif what == "publish":
            patched.setattr(LocalFolder, "swap_pointer", dies(0, LocalFolder.swap_pointer))
        else:
            patched.setattr(shutil, "rmtree", dies(1, shutil.rmtree))
        with pytest.raises(KeyboardInterrupt):
            forget_users(world.new_process(), [USER])
    assert world.new_process().catalogs.current.users.row(USER).known is False, "what was said holds"
    forget_users(world.new_process(), [USER])
    assert left(world) == []
    assert rows_of(world) == before
    store = world.new_process().store
    assert all(store.open("graph", version) for version in store.versions("graph"))


def test_an_old_backup_brings_nobody_back(world: Opened, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(home(world), backup)
    forget_users(world.new_process(), [USER])
    for part in ("bundles", "logs"):
        shutil.rmtree(home(world) / part)
        shutil.copytree(backup / part, home(world) / part)
    assert left(world) != []
    with InProcess(world) as inside:
        assert [source(inside, user) for user in (USER, OTHER)] == ["popular", "walk"]
    done = forget_users(world.new_process(), [])
    assert done.rows > 0
    assert left(world) == []


def test_a_short_id_is_searched_in_the_columns_of_users(tmp_path: Path) -> None:
    table = pa.table({"user_id": [1, 2], "pin_id": [7, 7]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [line.endswith("column user_id holds it") for line in search([tmp_path], 2)] == [True]
    assert list(search([tmp_path], 7)) == []


def test_text_is_found_however_it_is_packed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"notes": [["x"], ["a user-äöü b"]]}), tmp_path / "a.parquet", compression="zstd")
    (tmp_path / "b.jsonl").write_text('{"row":{"message":"{\\"user_id\\": \\"user-\\\\u00e4\\\\u00f6\\\\u00fc\\"}"}}\n')
    (tmp_path / "c.bin").write_bytes(b"\x00" * 5000 + "user-äöü".encode() + b"\x00")
    np.save(tmp_path / "d.npy", np.arange(10))
    assert len(list(search([tmp_path], "user-äöü"))) == 3
    assert list(search([tmp_path], "user-nobody")) == []


def test_a_file_that_cannot_be_read_is_named_by_removal_and_search_and_takes_no_other_with_it(tmp_path: Path) -> None:
    """Cut off, and with a name of a column that is no UTF-8, at which PyArrow raises another kind of error."""
    day = tmp_path / "events" / "date=2026-01-31"
    day.mkdir(parents=True)
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    for name in ("a-cut", "b-odd", "c-whole"):
        pq.write_table(pa.table({"user_id": [7], "received_at": [moment], "qqqq": [1]}), day / f"{name}.parquet")
    cut, odd, whole = sorted(day.glob("*"))
    cut.write_bytes(cut.read_bytes()[:-20])
    odd.write_bytes(odd.read_bytes().replace(b"qqqq", b"q\xff\xffq"))
    forgotten = Forgotten(tmp_path / "control")
    forgotten.forget([7])
    done = sweep_logs(tmp_path, forgotten)
    assert (done.rows, done.unreadable) == (1, [str(cut), str(odd)])
    assert not whole.exists()
    assert [line.split(": ")[0] for line in search([day], 7)] == [str(cut), str(odd)]
