"""What a person decides about versions: publish one, go back to the one before, hold a kind at what serves.

Serving watches the pointers and swaps by itself, without a restart.
"""

from dataclasses import dataclass

from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore, began
from cluster.store.standing import Ordered, Standing
from training.registry.versions import PASSED, PUBLISHED, Kind, Version, find_version, read_kind


@dataclass(frozen=True)
class Changed:
    """`now` serves instead of `before` (None: nothing did)."""

    kind: str
    before: str | None
    now: str


def publish_version(project: Project, store: BundleStore, kind: str, version: str, anyway: bool = False) -> Changed:
    """Makes a stored version serve, after its checksums, features and ids are looked at.

    One that its gate refused, or that was taken back, needs `anyway`; then it counts as taken back no longer.
    Raises BundleError where it is not there, damaged, or made for other features or ids; nothing is changed then.
    """
    found = read_kind(store, kind)
    chosen = find_version(store, found, version)
    if chosen.version == found.current:
        raise BundleError(f"{kind} {chosen.version} is published already")
    _require_fit(project, store, chosen)
    if chosen.state != PASSED and not anyway:
        raise BundleError(
            f"{kind} {chosen.version} is {chosen.state}: {chosen.reason}; --anyway publishes it all the same"
        )
    store.publish(kind, chosen.version)
    store.standings.change(kind, lambda standing: standing.trusting(began(chosen.version)))
    return Changed(kind, found.current, chosen.version)


def roll_back(project: Project, store: BundleStore, kind: str, to: str | None = None, why: str = "") -> Changed:
    """Takes the version that serves back, and publishes the newest before it that passed its gate, or `to`.

    No fallback serves the one taken back from then on. Raises BundleError where there is nothing to go back to.
    """
    found = read_kind(store, kind)
    if found.current is None:
        raise BundleError(f"no {kind} is published under {store.root}: there is nothing to take back")
    if to is None:
        chosen = _newest_before(project, store, found)
    else:
        chosen = find_version(store, found, to)
        if chosen.state == PUBLISHED:
            raise BundleError(f"{kind} {chosen.version} is the one that serves: name another")
        _require_fit(project, store, chosen)
    # First the note: killed between the two, the pointer still names the old one, and the same command goes on.
    bad = began(found.current)
    store.standings.change(kind, lambda standing: _swapped(standing, bad, began(chosen.version), why))
    store.publish(kind, chosen.version)
    return Changed(kind, found.current, chosen.version)


def hold(store: BundleStore, kind: str, why: str = "") -> Standing:
    """From now on new versions of the kind are stored and not published. Raises BundleError for one never stored."""
    read_kind(store, kind)
    return store.standings.change(kind, lambda standing: Standing(Ordered.now(why), standing.taken_back))


def release(store: BundleStore, kind: str) -> Standing:
    """New versions of the kind are published again when they pass their gate. Raises BundleError where none is held."""
    read_kind(store, kind)
    if store.standings.of(kind).held is None:
        raise BundleError(f"{kind} is not held")
    return store.standings.change(kind, lambda standing: Standing(None, standing.taken_back))


def _swapped(standing: Standing, bad: str, good: str, why: str) -> Standing:
    return standing.taking_back(bad, why).trusting(good)


def _newest_before(project: Project, store: BundleStore, kind: Kind) -> Version:
    """The newest version older than the one that serves that passed its gate, is whole, and fits the project."""
    current = kind.current or ""
    able = [one for one in kind.versions if one.state == PASSED and one.version < current]
    reasons = []
    for one in able:
        try:
            _require_fit(project, store, one)
        except BundleError as error:
            reasons.append(str(error))
            continue
        return one
    told = f": {'; '.join(reasons)}" if reasons else ""
    raise BundleError(f"{kind.name}: no version before {current} that passed its gate can serve{told}")


def _require_fit(project: Project, store: BundleStore, version: Version) -> None:
    features = FeatureSet.of(project.features)
    opened = store.open(version.kind, version.version)
    if "schema_hash" in opened.meta:  # quotas are learned from candidates, not from features
        opened.require_schema(features)
    opened.require_ids(project.ids)
