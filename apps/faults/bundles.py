"""Publishing a bundle once more, and damaging one on disk. For drills and tests."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.store.bundles import BundleStore
from cluster.store.manifest import MANIFEST

DAMAGES = ("flip", "cut", "remove")


def publish_copy(
    store: BundleStore,
    kind: str,
    change: Callable[[Path], Any] | None = None,
    publish: bool = True,
    version: str | None = None,
) -> str:
    """Store a version (default: the current one) again, as a builder would that made it with `change`; its version."""
    source = store.open(kind, version)
    with store.write(kind, dict(source.meta), publish) as (folder, new):
        shutil.copytree(source.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        if change is not None:
            change(folder)
    return new


def damage_file(path: Path, how: str) -> None:
    """Flip one bit in the middle, cut the last byte off, or remove it; what is mapped keeps its bytes."""
    data = bytearray(path.read_bytes())
    path.unlink()
    if how == "flip":
        data[len(data) // 2] ^= 0x40
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(data[:-1])
