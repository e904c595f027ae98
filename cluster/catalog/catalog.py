"""A graph bundle opened whole: graph, pin table, user table, feature set. Knows nothing of how one is built.

Folders in the bundle: graph/ (cluster.graph.csr, or cluster.graph.sharded), pins/ (cluster.catalog.pins), users/
(cluster.catalog.users), similar/ (cluster.similarity.tables), rates/ (cluster.catalog.rates), attributes/
(cluster.attributes.table), and catalog.json.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.attributes.table import AttributeTable
from cluster.catalog.pins import PinTable
from cluster.catalog.rates import ActionRates
from cluster.catalog.users import UserTable
from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet
from cluster.graph.any_graph import AnyGraph
from cluster.graph.checks import check_graph
from cluster.graph.sharded import open_graph
from cluster.settings.project import FeatureSettings
from cluster.similarity.tables import Similarity
from cluster.store.damage import opening

FORMAT = 1


@dataclass(frozen=True)
class Catalog:
    """Everything that serving and training read of the user's data, one version of it. Memory-mapped and read-only."""

    path: Path
    version: str
    graph: AnyGraph
    pins: PinTable
    users: UserTable
    similarity: Similarity
    rates: ActionRates
    attributes: AttributeTable
    feature_set: FeatureSet
    ids: str  # "int64" or "string"
    actions: tuple[str, ...]
    counts: dict[str, Any]
    drops: dict[str, Any]  # per input, the counts of cluster.data.cleaning.Tally

    @classmethod
    def open(cls, path: str | Path, version: str) -> "Catalog":
        """Maps a bundle's folder. Raises BundleError when something is missing or does not fit together."""
        path = Path(path)
        with opening(f"the graph bundle in {path}", "build the graph again"):
            return cls._open(path, version)

    @classmethod
    def _open(cls, path: Path, version: str) -> "Catalog":
        facts = json.loads((path / "catalog.json").read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']} is not {FORMAT}")
        settings = FeatureSettings.model_validate(facts["features"])
        graph = open_graph(path / "graph")
        pins = PinTable.open(path / "pins")
        if len(pins) != graph.n_pins:
            raise BundleError(f"{path}: {len(pins)} pin rows for {graph.n_pins} pins; build the graph again")
        users = UserTable.open(path / "users", graph.pin_ids)
        similarity = Similarity.open(path / "similar", graph.n_pins)
        rates = ActionRates.open(path / "rates", graph.n_pins)
        return cls(
            path,
            version,
            graph,
            pins,
            users,
            similarity,
            rates,
            attributes=AttributeTable.open(path / "attributes", graph.n_pins),
            feature_set=FeatureSet.of(settings),
            ids=facts["ids"],
            actions=tuple(facts["actions"]),
            counts=facts["counts"],
            drops=facts["drops"],
        )

    def checked(self, parts: Collection[int] | None = None) -> "Catalog":
        """Itself, or a BundleError when an index in it leads outside of what it points into; reads all of them once.

        Compiled loops look at no bounds. Checksums tell that a bundle is as it was built, this that it was built well.
        `parts`: of a graph in parts, those whose edges this process walks (None: all).
        """
        with opening(f"the graph bundle in {self.path}", "build the graph again"):
            check_graph(self.graph, parts)
            self.pins.check()
            self.users.check()
            self.similarity.check()
            self.attributes.check()
        return self

    def require_shards(self, shards: int | None) -> "Catalog":
        """Itself, or a BundleError when the project wants its graph in another number of parts (None: in any)."""
        found = len(self.graph.parts)
        if shards is not None and shards != found:
            raise BundleError(
                f"graph {self.version} has {found} shard{'s' * (found > 1)} and pinfunnel.yaml says `graph: {{shards: "
                f"{shards}}}`: run `pinfunnel build-graph` again, or set `graph: {{shards: {found}}}`"
            )
        return self

    def require_ids(self, ids: str | None) -> "Catalog":
        """Itself, or a BundleError when the project's ids are of the other type (None: any)."""
        if ids is not None and ids != self.ids:
            raise BundleError(
                f"graph {self.version} has {self.ids} ids and pinfunnel.yaml says `ids: {ids}`: "
                f"run `pinfunnel build-graph` again, or set `ids: {self.ids}`"
            )
        return self
