"""Mutations of every file of a bundle: it opens, or BundleError says in one line why not. Never another exception.

How a server goes on meanwhile is in `test_damaged_swaps`.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.project import Opened
from cluster.catalog.catalog import Catalog
from cluster.errors import BundleError
from cluster.store.bundles import POINTER
from cluster.store.manifest import MANIFEST
from serving.lightweight.stage import LightweightModel
from tests.worlds.bundles import KINDS, world_of_all_kinds
from tests.worlds.fuzz import examples, mutated
from training.ranker.scorer import FullScorer

MUTATIONS = examples(150)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return world_of_all_kinds(tmp_path_factory.mktemp("bundles"))


def tries(folder: Path, open_it: Callable[[], object], seed: int, most: int = MUTATIONS) -> int:
    """Opens with one mutated file at a time; returns how many mutations were refused."""
    rng = random.Random(seed)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    refused = 0
    for at in range(most):
        path = files[at % len(files)]
        whole = path.read_bytes()
        lines = 1
        path.unlink()  # what is mapped already keeps its bytes
        path.write_bytes(mutated(whole, rng))
        try:
            open_it()
        except BundleError as error:
            refused += 1
            lines = str(error).count("\n") + 1
        except Exception as error:
            raise AssertionError(f"mutation {at} of {path.name}: {type(error).__name__}: {error}") from error
        finally:
            path.unlink()
            path.write_bytes(whole)
        assert lines == 1, path
    return refused


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_bundle_is_refused_in_one_line(world: Opened, kind: str) -> None:
    store = world.new_process().store
    folder = store.open(kind).path
    assert tries(folder, lambda: store.open(kind), seed=1) > MUTATIONS // 2
    store.open(kind)  # and all is as it was


@pytest.mark.fuzz
def test_mutated_files_are_refused_without_checksums_too(world: Opened, tmp_path: Path) -> None:
    store = world.new_process().store
    graph = shutil.copytree(store.open("graph").path, tmp_path / "graph")
    assert tries(graph, lambda: Catalog.open(graph, "v"), seed=2) > MUTATIONS // 10
    full = shutil.copytree(store.open("full").path, tmp_path / "full")
    assert tries(full, lambda: FullScorer.open(full), seed=3, most=MUTATIONS // 3) > 0


@pytest.mark.parametrize("data", [b"", b"no model", b"\xff" * 100, b"{"])
def test_a_file_that_is_no_model_is_refused(world: Opened, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.ubj"
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"cannot open model .* train it again") as caught:
        LightweightModel(str(path), world.new_process().features, "v")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"../../etc", b"a\x00b", b"two\nlines", b"x" * 5000])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pointer_that_names_no_version_is_refused(world: Opened, kind: str, data: bytes) -> None:
    store = world.new_process().store
    pointer = Path(store.root) / kind / POINTER
    whole = pointer.read_bytes()
    try:
        pointer.write_bytes(data)
        with pytest.raises(BundleError, match="publish a version again") as caught:
            store.open(kind)
        assert "\n" not in str(caught.value)
    finally:
        pointer.write_bytes(whole)
    assert (store.open(kind).path / MANIFEST).is_file()
