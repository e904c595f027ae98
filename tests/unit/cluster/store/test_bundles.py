"""Bundles: atomic publishing, damage found, crashes harmless."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.settings.project import FeatureSettings
from cluster.store.bundles import BundleStore, note_meta
from cluster.store.objects import open_store

FEATURES = FeatureSet.of(FeatureSettings())


def publish(store: BundleStore, text: str, kind: str = "model", **meta: object) -> str:
    with store.write(kind, meta) as (folder, version):
        (folder / "deep").mkdir()
        (folder / "deep" / "data.txt").write_text(text)
    return version


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    version = publish(store, "hello", schema_hash=FEATURES.schema_hash)
    bundle = BundleStore(tmp_path).open("model")
    assert bundle.version == version
    assert (bundle.path / "deep" / "data.txt").read_text() == "hello"
    assert bundle.require_schema(FEATURES) is bundle


def test_publishing_moves_only_the_pointer(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    first = publish(store, "one")
    second = publish(store, "two")
    assert store.current("model") == second
    assert store.versions("model") == sorted([first, second])
    store.publish("model", first)
    assert (store.open("model").path / "deep" / "data.txt").read_text() == "one"


def test_kinds_may_be_nested(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    publish(store, "x", "lightweight/homefeed")
    publish(store, "y", "graph")
    assert store.kinds() == ["graph", "lightweight/homefeed"]


def test_an_error_in_the_body_leaves_nothing(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)

    def fail_half_way() -> None:
        with store.write("model", {}) as (folder, _):
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert store.current("model") is None
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_facts_learned_while_writing_reach_the_manifest(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    with store.write("model", {"a": 1}) as (folder, _):
        note_meta(folder, rows=7)
        note_meta(folder, columns=3)
    assert dict(store.open("model").meta) == {"a": 1, "rows": 7, "columns": 3}


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "manifest"])
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    store = BundleStore(tmp_path)
    publish(store, "hello world")
    file = store.open("model").path / "deep" / "data.txt"
    if damage == "flip":
        file.write_text("hellO world")
    elif damage == "cut":
        file.write_text("hello")
    elif damage == "remove":
        file.unlink()
    else:
        (file.parents[1] / "manifest.json").write_text('{"ver')
    with pytest.raises(BundleError, match=r"damaged|unreadable"):
        store.open("model")


def test_another_schema_is_refused_with_the_way_out(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    publish(store, "x", schema_hash="old")
    with pytest.raises(BundleError, match="train it again"):
        store.open("model").require_schema(FEATURES)


def test_nothing_published_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no graph is published"):
        BundleStore(tmp_path).open("graph")
    with pytest.raises(BundleError, match="nothing to publish"):
        BundleStore(tmp_path).publish("graph", "20200101T000000-abcdef")


def test_a_killed_writer_leaves_the_old_version(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    old = publish(store, "old")
    code = f"""
        from cluster.store.bundles import BundleStore
        with BundleStore({str(tmp_path)!r}).write("model", {{}}) as (folder, version):
            (folder / "half").write_text("x" * 100)
            print("ready", flush=True)
            import time; time.sleep(60)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "ready"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert store.current("model") == old
    assert store.versions("model") == [old]


def test_a_remote_root_goes_through_a_local_copy(s3: str, tmp_path: Path) -> None:
    store = BundleStore(f"{s3}/far", cache=tmp_path / "near")
    version = publish(store, "hello")
    bundle = store.open("model")
    assert bundle.version == version
    assert bundle.path.is_relative_to(tmp_path / "near")
    assert (bundle.path / "deep" / "data.txt").read_text() == "hello"
    assert store.versions("model") == [version]


def test_a_version_says_whether_it_was_written_to_be_published(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    first = publish(store, "one")
    with store.write("model", {}, publish=False) as (folder, refused):
        (folder / "data.txt").write_text("two")
    unreadable = publish(store, "three")
    (tmp_path / "model" / unreadable / "manifest.json").write_bytes(b"\xff")
    assert store.publishable("model") == sorted([first, unreadable], reverse=True)
    assert refused in store.versions("model")
    assert store.publishable("other") == []


def test_every_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    publish(store, "hello", held_back=["homefeed"], counts={1: 2.5})
    path = store.open("model").path / "manifest.json"
    assert store.open("model").meta == {"held_back": ["homefeed"], "counts": {"1": 2.5}}
    whole = path.read_bytes()
    told = whole.index(b"homefeed")
    for at in range(told, told + 8):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BundleError, match="its own checksum is another"):
            store.open("model")


def test_a_manifest_from_before_seals_is_read(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    publish(store, "hello", rows=3)
    path = store.open("model").path / "manifest.json"
    told = json.loads(path.read_text())
    del told["seal"], told["to_publish"]
    path.write_text(json.dumps(told))
    assert store.open("model").meta == {"rows": 3}
    assert len(store.publishable("model")) == 1


@pytest.mark.parametrize("name", ["deep/data.txt", "manifest.json"])
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"\xff"), lambda path: path.unlink()])
def test_a_damaged_local_copy_is_fetched_again(
    s3: str, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    store = BundleStore(f"{s3}/far", cache=tmp_path / "near")
    publish(store, "hello")
    copy = store.open("model").path
    damage(copy / name)
    assert (store.open("model").path / "deep" / "data.txt").read_text() == "hello"
    assert sorted(path.name for path in copy.rglob("*") if path.is_file()) == ["data.txt", "manifest.json"]


def test_a_file_that_is_late_in_a_remote_store_is_found_later(s3: str, tmp_path: Path) -> None:
    store = BundleStore(f"{s3}/far", cache=tmp_path / "near")
    version = publish(store, "hello")
    late = f"far/model/{version}/deep/data.txt"
    data = bytes(obstore.get(open_store(s3), late).bytes())
    obstore.delete(open_store(s3), late)
    with pytest.raises(BundleError, match=r"data\.txt is missing or damaged"):
        store.open("model")
    obstore.put(open_store(s3), late, data)
    assert (store.open("model").path / "deep" / "data.txt").read_text() == "hello"


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "deep/../../outside.txt"])
def test_a_manifest_that_leads_out_of_its_bundle_is_refused(s3: str, tmp_path: Path, name: str) -> None:
    store = BundleStore(f"{s3}/far", cache=tmp_path / "near")
    version = publish(store, "hello")
    path = f"far/model/{version}/manifest.json"
    told = json.loads(bytes(obstore.get(open_store(s3), path).bytes()))
    del told["seal"]
    told["files"][name] = {"bytes": 1, "crc32": 0}
    obstore.put(open_store(s3), path, json.dumps(told).encode())
    before = {each for each in tmp_path.rglob("*") if "near" not in each.parts}
    with pytest.raises(BundleError, match="lies outside"):
        store.open("model")
    assert {each for each in tmp_path.rglob("*") if "near" not in each.parts} == before
