"""Hot swap under damage, with a clock of the test's own: what serves, what is set aside, when it is tried again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.backoff import LONGEST_WAIT
from cluster.errors import BundleError, MissingPackageError
from cluster.store.bundles import POINTER, BundleStore
from serving.deploy.follow import INSTEAD
from serving.deploy.watch import Watcher
from serving.request.served import ServedBundles, ServingProblem

KINDS = ("graph", "lightweight/ads", "full")


class Replicas:
    """A store, and processes that load whole texts from it."""

    def __init__(self, root: Path):
        self.store = BundleStore(root)
        self.now = 0.0
        self.serving: dict[str, str] = {}
        self.loads: list[tuple[str, str]] = []
        self.fault: Exception | None = None

    def publish(self, kind: str, text: str = "hello", publish: bool = True) -> str:
        with self.store.write(kind, {}, publish) as (folder, version):
            (folder / "data.txt").write_text(text)
        return version

    def file(self, kind: str, version: str) -> Path:
        return Path(self.store.root) / kind / version / "data.txt"

    def pointer(self, kind: str) -> Path:
        return Path(self.store.root) / kind / POINTER

    def watcher(self) -> Watcher:
        """Of a process that has just started."""
        self.serving = {}
        return Watcher(self.store, {kind: self._loader(kind) for kind in KINDS}, clock=lambda: self.now)

    def _loader(self, kind: str) -> Callable[[str], None]:
        def load(version: str) -> None:
            self.loads.append((kind, version))
            if self.fault is not None:
                raise self.fault
            self.store.open(kind, version)
            self.serving[kind] = version

        return load


@pytest.fixture
def replicas(tmp_path: Path) -> Replicas:
    return Replicas(tmp_path)


def named(watcher: Watcher) -> list[tuple[str, str | None, str | None]]:
    return [(problem.kind, problem.version, problem.serving) for problem in watcher.problems()]


def test_a_late_file_is_loaded_once_it_is_there(replicas: Replicas) -> None:
    old = replicas.publish("full")
    watcher = replicas.watcher()
    assert watcher.poll() == ["full"]
    new = replicas.publish("full")
    late = replicas.file("full", new).read_bytes()
    replicas.file("full", new).unlink()
    assert watcher.poll() == []
    assert replicas.serving["full"] == old
    assert named(watcher) == [("full", new, old)]
    replicas.file("full", new).write_bytes(late)
    assert watcher.poll() == []  # its second try is not due yet
    replicas.now += 1.0
    assert watcher.poll() == ["full"]
    assert replicas.serving["full"] == new
    assert named(watcher) == []


def test_tries_are_further_and_further_apart(replicas: Replicas) -> None:
    replicas.publish("full")
    watcher = replicas.watcher()
    watcher.poll()
    bad = replicas.publish("full")
    replicas.file("full", bad).write_text("hellO")
    replicas.loads.clear()
    tried_at = []
    for second in range(200):
        replicas.now = float(second)
        watcher.poll()
        if len(replicas.loads) > len(tried_at):
            tried_at.append(second)
    assert tried_at == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    (problem,) = watcher.problems()
    assert problem.tries == len(tried_at)
    assert 0 < (problem.retry_seconds or 0) <= LONGEST_WAIT


ERRORS = (OSError("timed out"), MemoryError(), RuntimeError("a\nb"), TypeError("x"), KeyError())


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_a_load_raises_the_old_version_serves_and_others_are_loaded(
    replicas: Replicas, error: Exception
) -> None:
    old = replicas.publish("graph")
    watcher = replicas.watcher()
    watcher.poll()
    new = replicas.publish("graph")
    replicas.fault = error
    assert watcher.poll() == []
    assert replicas.serving == {"graph": old}
    (problem,) = watcher.problems()
    assert type(error).__name__ in problem.reason
    assert "\n" not in problem.reason
    replicas.fault = None
    other = replicas.publish("full")
    assert watcher.poll() == ["full"]
    replicas.now += 1.0
    assert watcher.poll() == ["graph"]
    assert replicas.serving == {"graph": new, "full": other}


def break_pointer(pointer: Path, how: str) -> None:
    pointer.unlink()
    if how == "folder":
        pointer.mkdir()
    elif how != "gone":
        pointer.write_bytes({"binary": b"\xff\xfe\x00", "empty": b"", "outside": b"../../graph", "lines": b"a\nb"}[how])


def mend_pointer(pointer: Path, text: str) -> None:
    if pointer.is_dir():
        pointer.rmdir()
    pointer.write_text(text)


BROKEN = ("binary", "empty", "outside", "lines", "folder", "gone")


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_pointer_stops_no_other_kind_and_is_named(replicas: Replicas, kind: str, how: str) -> None:
    versions = {each: replicas.publish(each) for each in KINDS}
    watcher = replicas.watcher()
    watcher.poll()
    break_pointer(replicas.pointer(kind), how)
    others = [each for each in KINDS if each != kind]
    fresh = {each: replicas.publish(each) for each in others}
    assert watcher.poll() == others
    assert replicas.serving == {**fresh, kind: versions[kind]}
    assert named(watcher) == [(kind, None, versions[kind])]
    mend_pointer(replicas.pointer(kind), versions[kind])
    assert watcher.poll() == []
    assert named(watcher) == []


@pytest.mark.parametrize("how", [*BROKEN, "version that is not there"])
def test_after_a_restart_the_newest_version_serves_and_the_pointer_is_named(replicas: Replicas, how: str) -> None:
    newest = max(replicas.publish("full"), replicas.publish("full"))
    replicas.publish("full", publish=False)  # a gate refused it
    missing = "20990101T000000-abcdef"
    if how in BROKEN:
        break_pointer(replicas.pointer("full"), how)
    else:
        replicas.pointer("full").write_text(missing)
    watcher = replicas.watcher()
    assert watcher.poll() == ["full"]
    assert replicas.serving["full"] == newest
    assert named(watcher) == [("full", None if how in BROKEN else missing, newest)]
    assert watcher.poll() == []  # and stays
    mend_pointer(replicas.pointer("full"), newest)
    assert watcher.poll() == []
    assert named(watcher) == []


def test_after_a_restart_damaged_versions_are_passed_over_by_name(replicas: Replicas) -> None:
    versions = [replicas.publish("full") for _ in range(4)]
    versions.sort()
    published = versions[3]
    replicas.store.publish("full", published)
    for bad in versions[2:]:
        replicas.file("full", bad).write_text("hellO")
    watcher = replicas.watcher()
    watcher.poll()
    assert replicas.serving["full"] == versions[1]
    assert named(watcher) == [("full", bad, versions[1]) for bad in (published, versions[2])]
    replicas.file("full", published).write_text("hello")
    replicas.now += 1.0
    assert watcher.poll() == ["full"]
    assert replicas.serving["full"] == published
    assert named(watcher) == []


def test_where_no_version_loads_none_serves_and_few_are_tried(replicas: Replicas) -> None:
    for _ in range(INSTEAD + 3):
        replicas.file("full", replicas.publish("full")).unlink()
    watcher = replicas.watcher()
    assert watcher.poll() == []
    assert len(replicas.loads) <= INSTEAD + 1
    assert all(serving is None for _, _, serving in named(watcher))
    with pytest.raises(BundleError, match=r"no full can be served: full .* data.txt is missing or damaged"):
        watcher.require("full")
    whole = replicas.publish("full")
    assert watcher.poll() == ["full"]
    assert replicas.serving["full"] == whole
    watcher.require("full")


def test_a_kind_that_was_never_published_is_no_problem(replicas: Replicas) -> None:
    replicas.publish("full", publish=False)
    watcher = replicas.watcher()
    assert watcher.poll() == watcher.poll() == []
    assert named(watcher) == []
    assert watcher.bundles() == ServedBundles(dict.fromkeys(KINDS))
    assert watcher.bundles().told == {"graph": None, "full": None}
    with pytest.raises(BundleError, match="no graph can be served: no graph is published"):
        watcher.require("graph")
    replicas.publish("full")
    assert watcher.poll() == ["full"]


def test_a_storage_outage_passes(replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    version = replicas.publish("full")
    with monkeypatch.context() as broken:

        def refuse(*_: object) -> None:
            raise OSError("no route to host")

        broken.setattr(BundleStore, "current", refuse)
        broken.setattr(BundleStore, "publishable", refuse)
        watcher = replicas.watcher()
        assert watcher.poll() == []
        assert {problem.reason for problem in watcher.problems()} == {"OSError: no route to host"}
    assert watcher.poll() == ["full"]
    assert replicas.serving["full"] == version
    assert named(watcher) == []


def test_going_back_to_the_version_that_serves_ends_the_problem(replicas: Replicas) -> None:
    good = replicas.publish("full")
    watcher = replicas.watcher()
    watcher.poll()
    replicas.file("full", replicas.publish("full")).unlink()
    watcher.poll()
    assert named(watcher)
    replicas.store.publish("full", good)
    assert watcher.poll() == []
    assert named(watcher) == []


def test_every_look_is_told(replicas: Replicas) -> None:
    told: list[ServedBundles] = []
    watcher = replicas.watcher()
    watcher.told = told.append
    version = replicas.publish("full")
    watcher.poll()
    replicas.file("full", replicas.publish("full")).unlink()
    watcher.poll()
    assert [bundles.problem_counts for bundles in told] == [
        {"graph": 0, "lightweight/ads": 0, "full": 0},
        {"graph": 0, "lightweight/ads": 0, "full": 1},
    ]
    assert told[1].versions == {"graph": None, "lightweight/ads": None, "full": version}


def test_several_processes_are_told_as_one() -> None:
    problem = ServingProblem("graph", "v2", "damaged", serving="v1")
    stage = ServedBundles({"graph": "v0", "full": "f"}, (problem, ServingProblem("full", None, "binary")))
    ingress = ServedBundles({"graph": "v1"}, (problem,))
    merged = ServedBundles.merged([stage, ingress])
    assert merged.versions == {"graph": "v1", "full": "f"}
    assert [each.kind for each in merged.problems] == ["graph", "full"]
    assert problem.line == "graph v2 cannot be used, v1 is served: damaged"


def test_where_a_package_is_missing_no_other_version_is_tried(replicas: Replicas) -> None:
    replicas.publish("full")
    new = replicas.publish("full")
    replicas.fault = MissingPackageError("the full ranker needs torch")
    watcher = replicas.watcher()
    for _ in range(3):
        watcher.poll()
        replicas.now += 100.0
    assert set(replicas.loads) == {("full", new)}
    assert [problem.reason for problem in watcher.problems()] == ["the full ranker needs torch"]
    replicas.fault = None
    replicas.now += LONGEST_WAIT
    assert watcher.poll() == ["full"], "installed meanwhile"
    assert named(watcher) == []
