"""A project with a published bundle of every kind, and ways to publish another and to damage one."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from apps.project import Opened
from cluster import kinds
from cluster.settings.clients import AllotmentSettings
from cluster.store.bundles import POINTER, BundleStore
from cluster.store.manifest import MANIFEST
from tests.worlds.funnel import opened_world, publish_full, publish_lightweight
from training.quotas.kinds import KINDS as KINDS_OF_USERS
from training.quotas.paths import QuotaPath
from training.quotas.table import QuotaTable

CLIENT = "homefeed"
KINDS = (kinds.GRAPH, kinds.lightweight(CLIENT), kinds.FULL, kinds.quotas(CLIENT))

BYTES = {"binary": b"\xff\xfe\x00", "empty": b"", "outside": b"../../graph", "lines": b"two\nlines"}
"""What a pointer may hold that names no version."""
LOST_POINTERS = (*BYTES, "folder", "gone")
DAMAGES = ("flip", "cut", "remove")


def world_of_all_kinds(folder: Path) -> Opened:
    """The toy world in `folder`; its homefeed takes quotas that were learned."""
    made = opened_world(folder)
    learned = made.clients[CLIENT].model_copy(update={"allotment": AllotmentSettings(learned=True)})
    made = Opened(made.project, {**made.clients, CLIENT: learned})
    process = made.new_process()
    publish_lightweight(process.store, process.features, CLIENT, "graph_rank")
    publish_full(process, made.clients)
    path = QuotaPath(np.array([0.6]), np.array([[0], [100]], np.int32))
    with process.store.write(kinds.quotas(CLIENT), {}) as (target, _):
        QuotaTable(("walk",), (path,) * KINDS_OF_USERS, 0.5).save(target)
    return made


def publish_copy(
    store: BundleStore, kind: str, change: Callable[[Path], Any] | None = None, publish: bool = True
) -> str:
    """Store the current bundle again, as a builder would have that made it with `change`; its version."""
    source = store.open(kind)
    with store.write(kind, dict(source.meta), publish) as (folder, version):
        shutil.copytree(source.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        if change is not None:
            change(folder)
    return version


def damage_file(path: Path, how: str) -> None:
    """Flip one bit in the middle, cut the last byte off, or remove it; what is mapped keeps its bytes."""
    data = bytearray(path.read_bytes())
    path.unlink()
    if how == "flip":
        data[len(data) // 2] ^= 0x40
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(data[:-1])


def lose_pointer(pointer: Path, how: str) -> None:
    """Replace a pointer by one of `LOST_POINTERS`."""
    pointer.unlink()
    if how == "folder":
        pointer.mkdir()
    elif how != "gone":
        pointer.write_bytes(BYTES[how])


def mend_pointer(pointer: Path, version: str) -> None:
    """Undo `lose_pointer`."""
    if pointer.is_dir():
        pointer.rmdir()
    pointer.write_text(version)


def pointer_of(store: BundleStore, kind: str) -> Path:
    """The file that names the published version."""
    return Path(store.root) / kind / POINTER
