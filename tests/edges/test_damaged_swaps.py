"""Every kind of bundle, damaged while it is published: the old version serves on, and health names the new one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.faults.bundles import DAMAGES, damage_file, publish_copy
from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.backoff import LONGEST_WAIT
from cluster.errors import BundleError
from serving.deploy.process import Process
from serving.deploy.watch import Watcher
from tests.unit.serving.http.faces import Face
from tests.worlds.bundles import (
    KINDS,
    LOST_POINTERS,
    lose_pointer,
    mend_pointer,
    pointer_of,
    world_of_all_kinds,
)
from tests.worlds.funnel import ask


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return world_of_all_kinds(tmp_path_factory.mktemp("bundles"))


class Running:
    """A process that has loaded what is published, and a clock for its watcher."""

    def __init__(self, world: Opened, *stages: str):
        self.process: Process = world.new_process()
        self.now = 0.0
        self.watcher: Watcher = self.process.watcher(*stages, clock=lambda: self.now)
        self.watcher.poll()

    def later(self) -> list[str]:
        """Look when every further try is due."""
        self.now += LONGEST_WAIT
        return self.watcher.poll()

    def named(self) -> list[tuple[str, str | None, str | None]]:
        return [(problem.kind, problem.version, problem.serving) for problem in self.watcher.problems()]


def files_of(process: Process, kind: str, version: str) -> list[Path]:
    folder = Path(process.store.root) / kind / version
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_whichever_file_is_damaged_the_old_version_serves_on(world: Opened, kind: str, how: str) -> None:
    running = Running(world)
    old = running.process.store.current(kind)
    new = publish_copy(running.process.store, kind)
    for path in files_of(running.process, kind, new):
        whole = path.read_bytes()
        damage_file(path, how)
        assert running.later() == [], path
        assert running.named() == [(kind, new, old)], path
        assert path.name in running.watcher.problems()[0].reason or path.name == "manifest.json"
        path.write_bytes(whole)
    assert running.later() == [kind]
    assert running.named() == []


@pytest.mark.parametrize("how", LOST_POINTERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_pointer_is_told_by_a_server_that_serves_all_the_same(world: Opened, kind: str, how: str) -> None:
    store = world.new_process().store
    version = store.current(kind)
    assert version is not None
    newest = store.publishable(kind)[0]
    lose_pointer(pointer_of(store, kind), how)
    try:
        with InProcess(world) as app:  # started with the pointer lost
            face = Face(app.app)
            health = face.get("/readyz")
            assert health.status_code == 200
            told = health.json()
            assert told["status"] == "degraded"
            assert [(one["kind"], one["version"], one["serving"]) for one in told["problems"]] == [(kind, None, newest)]
            assert told["versions"][kind] == newest
            models = face.get("/v1/models").json()
            assert models[kind] == newest
            assert models["set_aside"] == told["problems"]
            assert face.post("/v1/homefeed/recommendations", json={}).status_code == 200
            mend_pointer(pointer_of(store, kind), version)
            app.swap()
            told = face.get("/readyz").json()
            assert (told["status"], told["problems"]) == ("ok", [])
            assert told["versions"][kind] == version
    finally:
        mend_pointer(pointer_of(store, kind), version)


@pytest.mark.parametrize("kind", KINDS)
def test_started_with_a_damaged_version_the_one_before_serves(world: Opened, kind: str) -> None:
    store = world.new_process().store
    before = set(store.versions(kind))
    new = publish_copy(store, kind)
    path = files_of(world.new_process(), kind, new)[0]
    whole = path.read_bytes()
    damage_file(path, "flip")
    try:
        running = Running(world)
        serving = running.watcher.bundles().versions[kind]
        assert serving in before
        assert running.named() == [(kind, new, serving)]
        assert len(running.process.funnel.recommend_now(ask()).shown)
    finally:
        path.write_bytes(whole)
    assert running.later() == [kind]
    assert running.watcher.bundles().versions[kind] == new
    assert running.named() == []


def high_bit(name: str) -> Any:
    """A builder that gets a high bit of one index wrong."""

    def change(folder: Path) -> None:
        array = np.load(folder / name)
        array.reshape(-1)[array.size // 2] ^= array.dtype.type(1 << 29)
        np.save(folder / name, array)

    return change


INDICES = (
    "graph/pin_index.npy",
    "graph/pin_boards.npy",
    "graph/board_index.npy",
    "graph/board_pins.npy",
    "similar/linear.ids.npy",
    "pins/popular.npy",
    "pins/popular_by_locale.npy",
    "users/offsets.npy",
    "users/pins.npy",
)


@pytest.mark.parametrize("stages", [(), ("sources",), ("mix",), ("graph", "lightweight")])
@pytest.mark.parametrize("name", INDICES)
def test_a_graph_that_was_built_wrong_is_never_walked(world: Opened, name: str, stages: tuple[str, ...]) -> None:
    running = Running(world, *stages)
    store = running.process.store
    old = store.current("graph")
    assert old is not None
    bad = publish_copy(store, "graph", high_bit(name))
    try:
        store.open("graph", bad)  # its checksums are right
        assert running.watcher.poll() == []
        assert running.named() == [("graph", bad, old)]
        with pytest.raises(BundleError, match="build the graph again"):  # nor when a request names it
            running.process.catalogs.get(bad)
        assert running.process.catalogs.current.version == old
    finally:
        store.publish("graph", old)
    running.watcher.poll()
    assert running.named() == []


def test_without_any_model_that_is_whole_the_funnel_serves_and_says_so(tmp_path: Path) -> None:
    world = world_of_all_kinds(tmp_path)
    store = world.new_process().store
    for kind in KINDS[1:]:
        for path in files_of(world.new_process(), kind, str(store.current(kind))):
            damage_file(path, "cut")
    with InProcess(world) as app:
        told = Face(app.app).get("/readyz").json()
        assert sorted(one["kind"] for one in told["problems"]) == sorted(KINDS[1:])
        assert all(one["serving"] is None and one["reason"] for one in told["problems"])
        assert Face(app.app).post("/v1/homefeed/recommendations", json={}).status_code == 200


def test_without_a_graph_that_is_whole_nothing_starts(tmp_path: Path) -> None:
    world = world_of_all_kinds(tmp_path)
    version = str(world.new_process().store.current("graph"))
    damage_file(files_of(world.new_process(), "graph", version)[0], "flip")
    running = Running(world, "mix")
    with pytest.raises(BundleError, match=rf"no graph can be served: graph {version}: .* is missing or damaged"):
        running.watcher.require("graph")
    with pytest.raises(BundleError, match="missing or damaged"):
        _ = running.process.catalogs.current
