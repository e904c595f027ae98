"""The graph bundles a process has mapped: the current one, and those that requests under way still name.

Each may have fresh pins over it (cluster.fresh.overlay). Then it is a version of its own, which says how many entries
of the log it has: what one process names, every other can make.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cluster.catalog.catalog import Catalog
from cluster.control.forgotten import Forgotten
from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.fresh.log import FreshLog
from cluster.fresh.overlay import Overlaid, OverlayBase, parts_of, version_of
from cluster.kinds import GRAPH
from cluster.settings.fresh import FreshSettings
from cluster.store.bundles import BundleStore, begun_at

BASES = 2
"""Bundles of which is kept what laying rows over them needs."""


@dataclass(frozen=True)
class FreshPins:
    """What is laid over graphs, and how much of it at most."""

    log: FreshLog
    most: FreshSettings


class Catalogs:
    """Opens graph versions on demand and keeps the last few mapped. Thread-safe."""

    def __init__(
        self,
        store: BundleStore,
        features: FeatureSet,
        ids: str | None = None,
        shards: int | None = None,
        parts: Collection[int] | None = None,
        fresh: FreshPins | None = None,
        forgotten: Forgotten | None = None,
        keep: int = 3,
    ):
        """`ids`: the project's type of ids; a graph of the other one is refused. `fresh`: what is laid over graphs.

        `shards`: in how many parts the project wants the graph that it serves; another is refused. `parts`: those whose
        edges are verified, as compiled loops read them here (None: all).

        Who was `forgotten` since a graph was built is unknown to it.
        """
        self._forgotten = forgotten
        self._store = store
        self._features = features
        self._keep = keep
        self._ids = ids
        self._shards = shards
        self._parts = parts
        self._open: OrderedDict[str, Catalog] = OrderedDict()
        self._refused: dict[str, str] = {}
        self._lock = threading.Lock()
        self._current: Catalog | None = None
        self._fresh = fresh
        self._bases: dict[str, OverlayBase] = {}
        self._laid: dict[str, Overlaid] = {}
        self._overlaying = threading.Lock()
        self.waiting = ""
        """Why rows of the log are not laid over the current graph; empty when all are."""

    def get(self, version: str) -> Catalog:
        """The catalog of one version, for a request that names it. Raises BundleError when it is gone or does not fit.

        One that is not mapped yet is opened unread: who named it has verified it, and this process's watcher will.
        """
        with self._lock:
            if version in self._open:
                self._open.move_to_end(version)
                return self._open[version]
            if version in self._refused:
                raise BundleError(self._refused[version])
        base, entries = parts_of(version)
        if entries:
            return self.overlaid(self.get(base), entries).catalog
        return self._keep_open(self._opened(version, verify=False))

    def overlaid(self, base: Catalog, entries: int) -> Overlaid:
        """A bundle with the first `entries` of the log over it. Raises BundleError where it takes none, and OSError."""
        if self._fresh is None:
            raise BundleError(f"nothing is laid over graph {base.version} here")
        version = version_of(base.version, entries)
        with self._overlaying:  # of several that want the same, the first makes it
            known = self._bases.get(base.version)
            if known is None or known.catalog is not base:
                known = OverlayBase(base)
                others = [each for each in self._bases.items() if each[0] != base.version]
                self._bases = dict([*others[1 - BASES :], (base.version, known)])
                self._laid = {name: made for name, made in self._laid.items() if parts_of(name)[0] != base.version}
            made = self._laid.get(version)
            if made is None:
                made = known.overlaid(self._fresh.log.rows(entries), version, self._fresh.most)
                self._laid = dict([*list(self._laid.items())[1 - self._keep :], (version, made)])
        self._keep_open(made.catalog)
        return made

    def verified(self, version: str) -> Catalog:
        """The catalog of one version, opened anew: checksums compared, and every index of it within its bounds.

        Raises BundleError, as `get` does from then on until the version is found whole.
        """
        try:
            catalog = self._opened(version, verify=True).require_shards(self._shards).checked(self._parts)
        except BundleError as error:
            with self._lock:
                self._refused[version] = str(error)
                self._open.pop(version, None)
            raise
        with self._lock:
            self._refused.pop(version, None)
        return self._keep_open(catalog)

    def _opened(self, version: str, verify: bool) -> Catalog:
        bundle = self._store.open(GRAPH, version, verify).require_schema(self._features)
        catalog = Catalog.open(bundle.path, bundle.version).require_ids(self._ids)
        if (forgotten := self._forgotten) is not None:
            begun = begun_at(version)
            catalog.users.gone = lambda user: forgotten.before(user) > begun
        return catalog

    def _keep_open(self, catalog: Catalog) -> Catalog:
        with self._lock:
            self._open[catalog.version] = catalog
            self._open.move_to_end(catalog.version)
            while len(self._open) > self._keep:
                self._open.popitem(last=False)
        return catalog

    def load(self, version: str) -> None:
        """Make `version` the one that new requests use, once it is verified."""
        self.serve(self.freshest(self.verified(version)))

    def freshest(self, base: Catalog) -> Catalog:
        """A bundle with all that the log has over it, or alone where that cannot be; `waiting` says why."""
        entries = 0 if self._fresh is None else self._fresh.log.entries()
        if not entries:
            self.waiting = ""
            return base
        try:
            made = self.overlaid(base, entries)
        except (BundleError, OSError) as error:
            self.waiting = str(error)
            return base
        held_back = f"{made.waiting_pins} pins and {made.waiting_edges} saves wait for `pinfunnel add-edges`"
        self.waiting = (
            f"{held_back}: more than `fresh` in pinfunnel.yaml" if made.waiting_pins + made.waiting_edges else ""
        )
        return made.catalog

    def fresher(self) -> Catalog | None:
        """The current bundle with what the log has by now over it; None where that serves already, or none does."""
        if self._fresh is None or self._current is None:
            return None
        base, entries = parts_of(self._current.version)
        if self._fresh.log.entries() == entries:
            return None
        made = self.freshest(self.get(base))
        return None if made.version == self._current.version else made

    def serve(self, catalog: Catalog) -> None:
        """Make a verified catalog the one that new requests use."""
        self._current = catalog

    @property
    def serving(self) -> str | None:
        """The version of `current`; None before there is one."""
        return None if self._current is None else self._current.version

    @property
    def current(self) -> Catalog:
        """The catalog that new requests use; the published one is loaded on first use."""
        if self._current is None:
            version = self._store.current(GRAPH)
            if version is None:
                raise BundleError(f"no {GRAPH} is published under {self._store.root}")
            self.load(version)
        assert self._current is not None
        return self._current

    def unknown_pins(self, pins: Sequence[int | str]) -> list[int | str]:
        """Those of `pins`, ids by the project's contract, that the current graph lacks; none without a graph."""
        try:
            index = self.current.graph.pin_ids.index_of(list(pins))
        except BundleError:
            return []
        return [pin for pin, at in zip(pins, index.tolist(), strict=True) if at < 0]
