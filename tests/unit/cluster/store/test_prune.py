"""Old bundles go: never a published one, a named one, one of the newest, or one that is on its way."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest

from cluster.store.bundles import BundleStore
from cluster.store.objects import open_store
from cluster.store.prune import named_in_logs, prune
from tests.worlds.logs import make_world


@dataclass
class Stored:
    store: BundleStore
    leave: Callable[[str], object]  # a file, as a killed writer leaves it

    def write(self, kind: str, publish: bool = True) -> str:
        with self.store.write(kind, {}, publish) as (folder, version):
            (folder / "data.txt").write_text("x")
        return version

    def all(self) -> set[str]:
        return {f"{kind}/{version}" for kind in ("graph", "full") for version in self.store.versions(kind)}


@pytest.fixture(params=["local", "objects"])
def stored(request: pytest.FixtureRequest, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    moments = (datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 30))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls.fromtimestamp(next(moments).timestamp(), UTC)

    monkeypatch.setattr("cluster.store.bundles.datetime", Clock)  # versions a day apart, in order

    def leave(name: str) -> None:
        (tmp_path / "root" / name).parent.mkdir(parents=True)
        (tmp_path / "root" / name).write_text("x")

    if request.param == "local":
        return Stored(BundleStore(tmp_path / "root"), leave)
    far = open_store(s3)
    return Stored(BundleStore(s3, cache=tmp_path / "cache"), lambda name: obstore.put(far, name, b"x"))


def test_the_newest_stay_the_published_one_and_what_is_named(stored: Stored) -> None:
    graphs = [stored.write("graph") for _ in range(6)]
    refused = [stored.write("graph", publish=False) for _ in range(3)]
    full = [stored.write("full") for _ in range(2)]
    stored.store.publish("graph", graphs[0])
    done = prune(stored.store, 2, {f"{graphs[1]}+17", f"{graphs[2]}~1", "gone"}, young=-9)
    gone = {f"graph/{graphs[3]}", f"graph/{refused[0]}"}
    assert set(done.versions) == gone
    assert stored.all() == {f"graph/{v}" for v in graphs + refused} - gone | {f"full/{v}" for v in full}
    assert done.kept == len(stored.all())
    assert stored.store.open("graph").version == graphs[0]
    assert done.remains == ()


def test_what_is_young_stays(stored: Stored) -> None:
    for _ in range(3):
        stored.write("graph")
    assert prune(stored.store, 1).versions == ()
    assert len(prune(stored.store, 1, young=-9, dry=True).versions) == 2
    assert len(stored.all()) == 3
    assert len(prune(stored.store, 1, young=-9).versions) == 2
    assert len(stored.all()) == 1


def test_what_killed_writers_left_goes_and_nothing_else(stored: Stored) -> None:
    version = stored.write("graph")
    half = "graph/20260101T000000-abcdef"
    stored.leave(f"{half}/deep/data.txt")
    stored.leave(".writing-abc/data.txt")
    stored.leave("notes/of-mine.txt")
    assert prune(stored.store, 1).remains == ()  # it may be on its way
    assert prune(stored.store, 1, young=-9).remains == (".writing-abc", half)
    assert {file.name for file in stored.store.files()} == {
        "graph/CURRENT",
        f"graph/{version}/data.txt",
        f"graph/{version}/manifest.json",
        "notes/of-mine.txt",
    }


def test_versions_are_read_from_the_log(tmp_path: Path) -> None:
    logs = make_world(tmp_path, requests=4).logs
    assert named_in_logs(logs) == {"g1"}
    assert named_in_logs(logs, datetime(2100, 1, 1, tzinfo=UTC)) == set()
