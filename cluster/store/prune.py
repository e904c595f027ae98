"""Which stored bundles may go, and their removal: all but the newest of each kind and what something still names."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from cluster.store.backend import ASIDE
from cluster.store.bundles import BundleStore, began, begun_at
from cluster.store.log_parts import readable_batches
from cluster.store.logs import LogStore
from cluster.store.manifest import MANIFEST

NAMES = ("graph_version", "lightweight_version", "full_version")
"""Columns of the serving log that name bundles: training looks pins up in the graph that a request was served with."""
YOUNG = 86_400.0
"""Seconds in which what is stored may still be on its way: to its gate, or file by file into an object store."""


@dataclass(frozen=True)
class Pruned:
    """What goes, or went: versions as `kind/version`, and folders that killed writers have left."""

    versions: tuple[str, ...]
    remains: tuple[str, ...]
    kept: int


def prune(
    store: BundleStore, keep: int, named: Collection[str] = (), young: float = YOUNG, dry: bool = False
) -> Pruned:
    """Keeps of each kind the published version, the newest `keep` that may serve and the newest `keep` that a gate
    refused, what is `named`, and what is younger than `young` seconds. `dry`: only says what would go. Raises OSError.
    """
    files = store.files()
    before = time.time() - young
    changed = {PurePosixPath(file.name).parent: file.changed for file in files if file.name.endswith(f"/{MANIFEST}")}
    asked = {began(version) for version in named}
    going: list[str] = []
    for kind in sorted({str(folder.parent) for folder in changed}):
        mine = {folder.name for folder in changed if str(folder.parent) == kind}
        able = [version for version in store.publishable(kind) if version in mine]
        refused = sorted(mine - set(able), reverse=True)
        stays = {store.current(kind), *able[:keep], *refused[:keep]}
        stays |= {version for version in mine if began(version) in asked}
        stays |= {version for version in mine if changed[PurePosixPath(kind, version)] > before}
        going += [f"{kind}/{version}" for version in sorted(mine - stays)]
    newest: dict[str, float] = {}
    for file in files:
        if (folder := _unfinished(PurePosixPath(file.name), changed)) is not None:
            newest[folder] = max(file.changed, newest.get(folder, 0.0))
    remains = sorted(folder for folder, last in newest.items() if last < before)
    if not dry:
        for each in going:
            kind, _, version = each.rpartition("/")
            if store.current(kind) != version:  # published since: it stays
                store.remove(kind, version)
        for each in remains:
            store.remove_remains(each)
    return Pruned(tuple(going), tuple(remains), len(changed) - len(going))


def _unfinished(file: PurePosixPath, whole: Collection[PurePosixPath]) -> str | None:
    """The folder that a writer began, and that a file lies in; None in a version, and for what no writer makes."""
    for folder in file.parents:
        if folder in whole:
            return None
        if folder.name.startswith(ASIDE) or begun_at(folder.name):
            return str(folder)
    return None


def named_in_logs(logs: LogStore, since: datetime | None = None) -> set[str]:
    """Versions that requests of the serving log were served with, since a day or ever."""
    return {version for path in logs.serving_files(since=since).paths for version in _named(path)}


def _named(path: str) -> Iterator[str]:
    try:
        for batch in readable_batches(path, 1 << 16, NAMES):
            for column in batch.columns:
                yield from (version for version in column.unique().to_pylist() if version)
    except FileNotFoundError:  # compaction removed it since the listing
        return
