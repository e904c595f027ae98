"""Every stored version of every kind: what it is, whether it serves, and why or why not. Reads manifests only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from cluster.errors import BundleError
from cluster.kinds import FULL, GRAPH, lightweight, quotas
from cluster.store.bundles import BundleStore, began, begun_at
from cluster.store.manifest import MANIFEST, Manifest
from cluster.store.standing import Standing

PUBLISHED = "published"
TAKEN_BACK = "taken back"
PASSED = "passed"
REFUSED = "refused"
DAMAGED = "damaged"
NOT_PUBLISHED = "not published"


@dataclass(frozen=True)
class Version:
    """One stored version. `state` is one of the words above; `reason` says why, in the gate's words or somebody's."""

    kind: str
    version: str
    state: str
    reason: str
    made: datetime | None  # None for a name that tells no time
    bytes: int
    meta: Mapping[str, Any] = field(repr=False)

    @property
    def figures(self) -> dict[str, float]:
        """The few numbers that tell versions of this kind apart in a list."""
        return headline(self.kind, self.meta)


@dataclass(frozen=True)
class Kind:
    """A kind of bundle with all its versions, newest first."""

    name: str
    current: str | None
    standing: Standing
    versions: tuple[Version, ...]
    broken: str = ""  # why `current` or the standing could not be read


def read_kinds(store: BundleStore) -> tuple[Kind, ...]:
    """All kinds that have a version, the graph first. What is damaged is told in its row. Raises OSError."""
    sizes: dict[PurePosixPath, int] = {}
    folders = set()
    for file in store.files():
        path = PurePosixPath(file.name)
        for folder in path.parents:
            sizes[folder] = sizes.get(folder, 0) + file.bytes
        if path.name == MANIFEST:
            folders.add(path.parent)
    names = sorted({str(folder.parent) for folder in folders}, key=lambda name: (name != GRAPH, name))
    return tuple(
        _kind(store, name, {folder.name: sizes[folder] for folder in folders if str(folder.parent) == name})
        for name in names
    )


def read_kind(store: BundleStore, name: str) -> Kind:
    """One kind. Raises BundleError, naming those that there are, when nothing of it is stored; OSError."""
    kinds = read_kinds(store)
    for kind in kinds:
        if kind.name == name:
            return kind
    there = f"there are {', '.join(kind.name for kind in kinds)}" if kinds else "nothing is stored yet"
    raise BundleError(f"no {name} is stored under {store.root}: {there}")


def find_version(store: BundleStore, kind: Kind, wanted: str | None) -> Version:
    """A version of a kind by its name or a beginning of it that only one has; None: the one that serves.

    Raises BundleError when there is none or several.
    """
    if wanted is None:
        if kind.current is None:
            raise BundleError(f"no {kind.name} is published under {store.root}: name a version")
        wanted = kind.current
    found = [one for one in kind.versions if one.version == wanted]
    found = found or [one for one in kind.versions if one.version.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    newest = ", ".join(one.version for one in kind.versions[:3])
    if not found:
        raise BundleError(f"no {kind.name} of version {wanted}: the newest are {newest}")
    raise BundleError(f"{wanted} begins {len(found)} versions of {kind.name}: give more of the name")


def _kind(store: BundleStore, name: str, sizes: Mapping[str, int]) -> Kind:
    broken = []
    current, standing = None, Standing()
    try:
        current = store.current(name)
    except BundleError as error:
        broken.append(str(error))
    try:
        standing = store.standings.of(name)
    except BundleError as error:
        broken.append(str(error))
    newest = sorted(sizes, reverse=True)
    versions = tuple(_version(store, name, one, sizes[one], current, standing) for one in newest)
    return Kind(name, current, standing, versions, "; ".join(broken))


def _version(
    store: BundleStore, kind: str, version: str, size: int, current: str | None, standing: Standing
) -> Version:
    at = begun_at(version)
    made = datetime.fromtimestamp(at / 1e6, UTC) if at else None
    try:
        manifest = store.manifest(kind, version)
    except BundleError as error:
        return Version(kind, version, DAMAGED, str(error), made, size, {})
    return Version(kind, version, *_state(version, manifest, current, standing), made, size, manifest.meta)


def _state(version: str, manifest: Manifest, current: str | None, standing: Standing) -> tuple[str, str]:
    gate = manifest.meta.get("gate") or {}
    reason = str(gate.get("reason") or manifest.meta.get("reason") or "")
    if version == current:
        return PUBLISHED, reason
    if (taken := standing.taken_back.get(began(version))) is not None:
        return TAKEN_BACK, taken.text()
    if manifest.to_publish:
        return PASSED, reason
    if gate.get("publish", manifest.meta.get("published")):
        return NOT_PUBLISHED, f"held when it was made; {reason}"
    return (REFUSED if reason else NOT_PUBLISHED), reason


def headline(kind: str, meta: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a manifest that one compares first, by name; fewer where a manifest lacks them."""
    found: dict[str, Any] = {}
    if kind == GRAPH:
        counts = _within(meta, "counts")
        found = {name: counts.get(name) for name in ("edges", "pins", "boards")}
    elif kind == FULL:
        found = {"ndcg@10": _mean(_within(meta, "metrics", "ndcg@10", "full", "all"))}
    elif kind.startswith(lightweight("")):
        order = _within(meta, "metrics", "orders", "lightweight")
        found = {name: _mean(order.get(name)) for name in ("ndcg@10", "auc")}
    elif kind.startswith(quotas("")):
        found = {"kept": _mean(meta.get("kept")), "candidates": meta.get("cost")}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _within(meta: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """What lies below nested names, empty where one of them is missing."""
    inner: Any = meta
    for name in names:
        inner = inner.get(name) if isinstance(inner, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _mean(interval: Any) -> Any:
    return interval.get("mean") if isinstance(interval, Mapping) else None
