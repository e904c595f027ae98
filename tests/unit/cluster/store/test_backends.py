"""What every storage backend must do, asked of each of them, and of bundles on top. A new backend gets one entry."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.errors import BundleError
from cluster.store.backend import Backend
from cluster.store.bundles import BundleStore
from cluster.store.local import LocalFolder
from cluster.store.objects import ObjectStore
from tests.worlds.google import BUCKET, google_storage

BACKENDS: dict[str, Callable[[str, Path], Backend]] = {
    "local": lambda bucket, tmp: LocalFolder(tmp / "root"),
    "objects": lambda bucket, tmp: ObjectStore(f"{bucket}/some/prefix", tmp / "cache"),
    "google": lambda _, tmp: ObjectStore(f"{BUCKET}/some/prefix", tmp / "cache"),
}


@pytest.fixture(params=list(BACKENDS))
def make(
    request: pytest.FixtureRequest, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Backend]]:
    """Makes the backend under test anew, as another process would that shares its storage and cache."""
    with google_storage() as key:
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", key)
        yield lambda: BACKENDS[request.param](s3, tmp_path)


def names(backend: Backend) -> list[str]:
    return [file.name for file in backend.files()]


def put(backend: Backend, name: str, text: str = "hello") -> None:
    folder = backend.new_folder()
    assert list(folder.iterdir()) == []
    (folder / "deep").mkdir()
    (folder / "deep" / "data.txt").write_text(text)
    (folder / "top.txt").write_text(text)
    backend.put(folder, name, "top.txt")


def test_what_was_put_is_got_by_another_process(make: Callable[[], Backend]) -> None:
    put(make(), "graph/v1")
    folder = make().get("graph/v1")
    assert (folder / "deep" / "data.txt").read_text() == "hello"
    assert (folder / "top.txt").read_text() == "hello"
    assert make().get("graph/v1") == folder


def test_a_name_that_was_never_put_has_no_files(make: Callable[[], Backend]) -> None:
    put(make(), "graph/v1")
    try:
        folder = make().get("graph/v2")
    except OSError:
        return
    assert not folder.exists()


def test_files_and_folders_are_listed(make: Callable[[], Backend]) -> None:
    backend = make()
    assert backend.files() == backend.folders("graph", "top.txt") == []
    put(backend, "lightweight/ads/v1")
    put(backend, "lightweight/ads/v2")
    backend.write_pointer("lightweight/ads/CURRENT", "v1")
    assert sorted(backend.folders("lightweight/ads", "top.txt")) == ["v1", "v2"]
    assert backend.folders("graph", "top.txt") == []
    of_v1 = {"lightweight/ads/v1/deep/data.txt", "lightweight/ads/v1/top.txt"}
    assert of_v1 | {"lightweight/ads/CURRENT"} <= set(names(backend))
    assert backend.has("lightweight/ads/v1/top.txt")
    assert not backend.has("lightweight/ads/v1/deep")
    assert not backend.has("lightweight/ads/v3/top.txt")


def test_a_pointer_is_replaced_whole(make: Callable[[], Backend]) -> None:
    put(make(), "graph/v1")
    assert make().read_pointer("graph/CURRENT") is None
    make().write_pointer("graph/CURRENT", "a version with a long name")
    make().write_pointer("graph/CURRENT", "v1")
    assert make().read_pointer("graph/CURRENT") == "v1"
    assert [name for name in names(make()) if "CURRENT" in name] == ["graph/CURRENT"]


def test_bundles_are_published_and_opened(make: Callable[[], Backend]) -> None:
    versions = []
    for text in ("old", "new"):
        with BundleStore("here", backend=make()).write("graph", {"text": text}) as (folder, version):
            (folder / "data.txt").write_text(text)
        versions.append(version)
    store = BundleStore("here", backend=make())
    assert store.kinds() == ["graph"]
    assert store.versions("graph") == sorted(versions)
    assert store.current("graph") == versions[1]
    assert (store.open("graph").path / "data.txt").read_text() == "new"
    assert store.open("graph", versions[0]).meta == {"text": "old"}
    store.publish("graph", versions[0])
    assert BundleStore("here", backend=make()).open("graph").version == versions[0]


def test_a_bundle_that_fails_leaves_nothing(make: Callable[[], Backend]) -> None:
    store = BundleStore("here", backend=make())
    begun: list[Path] = []

    def fail() -> None:
        with store.write("graph", {}) as (folder, _):
            begun.append(folder)
            (folder / "half.txt").write_text("x")
            raise RuntimeError("no disk")

    with pytest.raises(RuntimeError, match="no disk"):
        fail()
    assert make().files() == []
    assert not begun[0].exists()
    with pytest.raises(BundleError, match="no graph is published under here"):
        store.open("graph")
    with pytest.raises(BundleError, match="graph v0 is not stored under here: nothing to publish"):
        store.publish("graph", "v0")


def test_a_file_is_fetched_again_where_get_gives_a_copy(make: Callable[[], Backend]) -> None:
    put(make(), "graph/v1")
    copy = make().get("graph/v1") / "deep" / "data.txt"
    stored = make().read_pointer("graph/v1/deep/data.txt")
    copy.write_text("damaged")
    is_copy = make().read_pointer("graph/v1/deep/data.txt") == stored
    assert make().fetch("graph/v1/deep/data.txt") is is_copy
    assert copy.read_text() == ("hello" if is_copy else "damaged")
    assert not make().fetch("graph/v1/other.txt")
    assert sorted(path.name for path in copy.parent.iterdir()) == ["data.txt"]


def test_what_is_removed_is_gone_with_its_copies_and_nothing_else_is(make: Callable[[], Backend]) -> None:
    backend = make()
    put(backend, "graph/v1")
    put(backend, "graph/v2")
    first, second = backend.get("graph/v1"), backend.get("graph/v2")
    make().remove("graph/v1/top.txt")
    assert not backend.has("graph/v1/top.txt")
    make().remove("graph/v1")
    make().remove("graph/v1")
    assert not first.exists()
    assert backend.folders("graph", "top.txt") == ["v2"]
    assert (second / "top.txt").read_text() == "hello"


def test_a_version_is_rewritten_as_the_next_one_and_published_if_it_was(
    make: Callable[[], Backend], tmp_path: Path
) -> None:
    store = BundleStore(tmp_path / "unused", backend=make())
    names = []
    for text in ("old", "new"):
        with store.write("graph", {"note": text}) as (folder, version):
            (folder / "users").mkdir()
            (folder / "users" / "ids").write_text(text)
            (folder / "edges").write_text(text)
        names.append(version)
    for version in sorted(names):
        with store.rewrite("graph", version) as folder:
            (folder / "users" / "ids").unlink()
            (folder / "users" / "ids").write_text("less")
    assert sorted(store.versions("graph")) == sorted(f"{version}~1" for version in names)
    assert store.current("graph") == f"{names[1]}~1"
    for version, text in zip(names, ("old", "new"), strict=True):
        bundle = store.open("graph", f"{version}~1")
        assert (bundle.path / "users" / "ids").read_text() == "less"
        assert (bundle.path / "edges").read_text() == text
        assert bundle.meta["note"] == text
    with pytest.raises(RuntimeError), store.rewrite("graph", f"{names[1]}~1"):
        raise RuntimeError
    assert store.open("graph").version == f"{names[1]}~1"


def test_a_pointer_is_swapped_only_where_it_says_what_was_read(make: Callable[[], Backend]) -> None:
    put(make(), "graph/v1")
    assert not make().swap_pointer("graph/CURRENT", "v1", "v2")
    assert make().read_pointer("graph/CURRENT") is None
    make().write_pointer("graph/CURRENT", "v1\n")  # as an editor leaves it
    assert make().swap_pointer("graph/CURRENT", "v1", "v2")
    assert not make().swap_pointer("graph/CURRENT", "v1", "v3")
    assert make().read_pointer("graph/CURRENT") == "v2"


def test_of_many_who_swap_a_pointer_at_once_one_does(make: Callable[[], Backend]) -> None:
    put(make(), "graph/v1")
    make().write_pointer("graph/CURRENT", "v1")
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: make().swap_pointer("graph/CURRENT", "v1", f"by-{n}"), range(8)))
    assert sum(done) == 1
    assert make().read_pointer("graph/CURRENT") == f"by-{done.index(True)}"


def test_a_name_is_stored_once(make: Callable[[], Backend]) -> None:
    put(make(), "graph/v1", "first")
    with pytest.raises(OSError, match=r".+"):
        put(make(), "graph/v1", "second")
    assert make().read_pointer("graph/v1/top.txt") == "first"


def test_a_rewrite_leaves_a_pointer_that_somebody_moved_meanwhile(make: Callable[[], Backend]) -> None:
    store = BundleStore("here", backend=make())
    with store.write("graph", {}) as (folder, old):
        (folder / "data.txt").write_text("old")
    with store.rewrite("graph", old), BundleStore("here", backend=make()).write("graph", {}) as (folder, new):
        (folder / "data.txt").write_text("new")
    assert store.current("graph") == new
    assert sorted(store.versions("graph")) == sorted([f"{old}~1", new])


def test_what_is_half_stored_is_listed_by_none(s3: str, tmp_path: Path) -> None:
    backend = BACKENDS["objects"](s3, tmp_path)
    put(backend, "graph/v1")
    put(backend, "graph/v2")
    backend.remove("graph/v1/top.txt")  # as far as a killed `put` or `remove` came
    assert "graph/v1/deep/data.txt" in names(backend)
    assert backend.folders("graph", "top.txt") == ["v2"]


def test_a_storage_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = BundleStore("s3://bucket/x", cache=tmp_path)
    with pytest.raises(BundleError, match="cannot open graph/CURRENT under s3://bucket/x") as caught:
        store.open("graph")
    assert "\n" not in str(caught.value)
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9"), store.write("graph", {}) as (folder, _):
        (folder / "data.txt").write_text("x")
    assert list(tmp_path.iterdir()) == []
