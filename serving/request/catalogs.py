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
        self._lock = threading.Lock()
        self._current: Catalog | None = None

    def get(self, version: str, verify: bool = False) -> Catalog:
        """The catalog of one version. Raises BundleError when it is gone, damaged, of other features or of other ids.

        Checksums are compared only with `verify`: the process that makes a version current does so, once.
        """
        with self._lock:
            if version in self._open:
                self._open.move_to_end(version)
                return self._open[version]
        bundle = self._store.open(GRAPH, version, verify).require_schema(self._features)
        catalog = Catalog.open(bundle.path, bundle.version).require_ids(self._ids)
        with self._lock:
            self._open[version] = catalog
            while len(self._open) > self._keep:
                self._open.popitem(last=False)
        return catalog

    def load(self, version: str, verify: bool = True) -> None:
        """Make `version` the one that new requests use."""
        self._current = self.get(version, verify)

    @property
    def current(self) -> Catalog:
        """The catalog that new requests use; opened on first use."""
        if self._current is None:
            self.load(self._store.open(GRAPH, verify=False).version)
        assert self._current is not None
        return self._current

    def unknown_pins(self, pins: Sequence[int | str]) -> list[int | str]:
        """Those of `pins`, ids by the project's contract, that the current graph lacks; none without a graph."""
        try:
            index = self.current.graph.pin_ids.index_of(list(pins))
        except BundleError:
            return []
        return [pin for pin, at in zip(pins, index.tolist(), strict=True) if at < 0]
