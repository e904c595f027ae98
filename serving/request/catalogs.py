"""The graph bundles a process has mapped: the current one, and those that requests under way still name."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from cluster.catalog.catalog import Catalog
from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.kinds import GRAPH
from cluster.store.bundles import BundleStore


class Catalogs:
    """Opens graph versions on demand and keeps the last few mapped. Thread-safe."""

    def __init__(self, store: BundleStore, features: FeatureSet, keep: int = 3, ids: str | None = None):
        """`ids` is the project's type of ids; a graph of the other one is refused."""
        self._store = store
        self._features = features
        self._keep = keep
        self._ids = ids
        self._open: OrderedDict[str, Catalog] = OrderedDict()
        self._refused: dict[str, str] = {}
        self._lock = threading.Lock()
        self._current: Catalog | None = None

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
        return self._keep_open(self._opened(version, verify=False))

    def verified(self, version: str) -> Catalog:
        """The catalog of one version, opened anew: checksums compared, and every index of it within its bounds.

        Raises BundleError, as `get` does from then on until the version is found whole.
        """
        try:
            catalog = self._opened(version, verify=True).checked()
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
        return Catalog.open(bundle.path, bundle.version).require_ids(self._ids)

    def _keep_open(self, catalog: Catalog) -> Catalog:
        with self._lock:
            self._open[catalog.version] = catalog
            self._open.move_to_end(catalog.version)
            while len(self._open) > self._keep:
                self._open.popitem(last=False)
        return catalog

    def load(self, version: str) -> None:
        """Make `version` the one that new requests use, once it is verified."""
        self.serve(self.verified(version))

    def serve(self, catalog: Catalog) -> None:
        """Make a verified catalog the one that new requests use."""
        self._current = catalog

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
