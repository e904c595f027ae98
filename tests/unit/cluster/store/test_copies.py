"""Local copies within a number of bytes: the oldest unused ones go, none that any process uses."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.store.bundles import BundleStore
from cluster.store.copies import DEAD, HELD, Copies
from cluster.store.objects import ObjectStore

MOST = 1_000


def add(copies: Copies, name: str, size: int, age: float = 0.0) -> Path:
    copies.make_room(size)
    draft = copies.new_folder()
    (draft / "data").write_bytes(b"x" * size)
    copies.take(draft, name)
    path = copies.path(name)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_the_least_recently_used_copies_make_room(tmp_path: Path) -> None:
    copies = Copies(tmp_path, MOST)
    old, older, new = add(copies, "a/1", 300, 20), add(copies, "a/2", 300, 30), add(copies, "b/1", 300, 10)
    add(copies, "b/2", 400)
    assert not older.exists()
    assert [path.exists() for path in (old, new)] == [True, True]
    add(copies, "b/3", 900)
    assert [path.exists() for path in (old, new, copies.path("b/2"))] == [False, False, False]


def test_a_copy_in_use_stays_and_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copies = Copies(tmp_path, MOST)
    used, unused = add(copies, "a/1", 600, 99), add(copies, "a/2", 300)
    assert Copies(tmp_path, MOST).use("a/1") == used
    add(copies, "a/3", 500)
    assert used.exists()
    assert not unused.exists()
    assert "600 bytes in use and 500 to come are more than 1000" in caplog.text


USES = """
import sys
from pathlib import Path
from cluster.store.copies import Copies
print(Copies(Path(sys.argv[1]), 1).use("a/1"), flush=True)
sys.stdin.read()
"""


def test_another_process_that_uses_a_copy_keeps_it_until_it_ends(tmp_path: Path) -> None:
    copies = Copies(tmp_path, MOST)
    used = add(copies, "a/1", 600, 99)
    command = [sys.executable, "-c", USES, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == str(used)
        copies.make_room(MOST)
        assert used.exists()
        other.kill()
        other.wait()
    copies.make_room(MOST)
    assert not used.exists()


def test_a_process_lets_go_of_versions_that_newer_ones_have_followed(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 10 * MOST)
    paths = [add(copies, f"graph/{n}", 100, 99 - n) for n in range(HELD + 2)]
    other = add(copies, "full/0", 100, 999)
    for name in ("full/0", *(f"graph/{n}" for n in range(HELD + 2))):
        copies.use(name)
    copies.make_room(10 * MOST)
    assert [path.exists() for path in (*paths, other)] == [False, False] + [True] * (HELD + 1)


def test_what_a_killed_process_was_fetching_goes_after_a_while(tmp_path: Path) -> None:
    copies = Copies(tmp_path, MOST)
    dead, alive = copies.new_folder(), copies.new_folder()
    os.utime(dead, (0, time.time() - DEAD - 1))
    copies.make_room(0)
    assert (dead.exists(), alive.exists()) == (False, True)


def test_a_copy_that_went_is_fetched_anew(s3: str, tmp_path: Path) -> None:
    store = BundleStore(s3, backend=ObjectStore(s3, tmp_path))
    with store.write("graph", {}) as (folder, version):
        (folder / "data.txt").write_text("hello")
    first = store.open("graph").path
    Copies(tmp_path, 0).drop(f"graph/{version}")
    assert not first.exists()
    assert (store.open("graph").path / "data.txt").read_text() == "hello"
