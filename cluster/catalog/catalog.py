"""A graph bundle opened whole: graph, pin table, user table, feature set. And how one is built from a project's inputs.

Folders in the bundle: graph/ (cluster.graph.csr), pins/ (cluster.catalog.pins), users/ (cluster.catalog.users), and
catalog.json.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.catalog.history import Recent
from cluster.catalog.nodes import Nodes, conform
from cluster.catalog.pins import PinTable, SaveCounts
from cluster.catalog.pruning import prune_graph, replace_graph
from cluster.catalog.users import UserTable
from cluster.catalog.vocabulary import Vocabulary
from cluster.data.cleaning import Tally, clean_edges, clean_events, now_us, to_us
from cluster.data.inputs import open_inputs
from cluster.data.schema import edges_columns, events_columns
from cluster.errors import BundleError, DataError
from cluster.features.assemble import FeatureSet
from cluster.graph.csr import Graph
from cluster.graph.edges import Span, index_edges
from cluster.graph.ids import IdMap
from cluster.graph.packing import write_links
from cluster.kinds import GRAPH
from cluster.progress import Progress, silent
from cluster.settings.project import FeatureSettings, Project
from cluster.store.bundles import BundleStore, note_meta

FORMAT = 1
INPUTS = ("edges", "pins", "users", "events")


@dataclass(frozen=True)
class Catalog:
    """Everything that serving and training read of the user's data, one version of it. Memory-mapped and read-only."""

    path: Path
    version: str
    graph: Graph
    pins: PinTable
    users: UserTable
    feature_set: FeatureSet
    ids: str  # "int64" or "string"
    actions: tuple[str, ...]
    counts: dict[str, Any]
    drops: dict[str, Any]  # per input, the counts of cluster.data.cleaning.Tally

    @classmethod
    def open(cls, path: str | Path, version: str) -> "Catalog":
        """Maps a bundle's folder. Raises BundleError when something is missing or does not fit together."""
        path = Path(path)
        try:
            facts = json.loads((path / "catalog.json").read_text(encoding="utf-8"))
            if facts["format"] != FORMAT:
                raise ValueError(f"format {facts['format']} is not {FORMAT}")
            settings = FeatureSettings.model_validate(facts["features"])
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"cannot open the graph bundle in {path}: {error}; build the graph again") from None
        graph = Graph.open(path / "graph")
        pins = PinTable.open(path / "pins")
        if len(pins) != graph.n_pins:
            raise BundleError(f"{path}: {len(pins)} pin rows for {graph.n_pins} pins; build the graph again")
        users = UserTable.open(path / "users", graph.pin_ids)
        features, actions = FeatureSet.of(settings), tuple(facts["actions"])
        return cls(path, version, graph, pins, users, features, facts["ids"], actions, facts["counts"], facts["drops"])

    def require_ids(self, ids: str | None) -> "Catalog":
        """Itself, or a BundleError when the project's ids are of the other type (None: any)."""
        if ids is not None and ids != self.ids:
            raise BundleError(
                f"graph {self.version} has {self.ids} ids and pinfunnel.yaml says `ids: {ids}`: "
                f"run `pinfunnel build-graph` again, or set `ids: {self.ids}`"
            )
        return self


def build_catalog_in_memory(
    edges: pa.Table, pins: pa.Table | None, users: pa.Table | None, events: pa.Table | None,
    project: Project, folder: Path, before: datetime | None = None, version: str = "", topics: tuple[str, ...] = (),
) -> Catalog:  # fmt: skip
    """Builds a catalog in `folder` from tables in contract columns (optional ones may lack), without Ray or files.

    Rows are cleaned by the same rules as files; with `before`, edges and events from then on are left out. Of the
    project, only ids, actions, features and graph settings are used. `topics` keep
    their columns (see Vocabulary). Raises DataError when no edge is left.
    """
    now, drops = now_us(), {"edges": Tally()}
    cut = None if before is None else to_us(before)
    nodes = Nodes.of(project, pins, users, now, drops, topics)
    table = conform(edges, pa.schema([(c.name, c.type) for c in edges_columns(project.ids)]))
    clean = clean_edges(table, now, drops["edges"], cut)
    span = Span.of(clean["saved_at"])
    indexed = index_edges(clean, project.graph, drops["edges"], nodes.pin_map)
    require_edges(len(indexed.pins), drops["edges"])
    counts = indexed.pin_counts(span)
    pin_ids = IdMap.from_ids(indexed.pin_ids)
    codes, locales = nodes.locale_codes(pin_ids)
    graph = Graph.from_edges(
        indexed.boards, indexed.pins, len(indexed.board_ids), len(pin_ids), pin_ids, IdMap.from_ids(indexed.board_ids),
        codes, locales,
    )  # fmt: skip
    if codes is not None:  # the graph has renumbered its pins by locale
        order = np.argsort(codes, kind="stable")
        counts = counts[0][order], counts[1][order]
    saves = SaveCounts(graph.pin_degree, *counts, span)
    if project.graph.prunes:
        graph = prune_graph(graph, nodes.pins, nodes.vocabulary, project.graph, drops["edges"])
    graph.save(folder / "graph")
    write_links(folder / "graph", graph.halves, project.graph.links)
    schema = pa.schema([(c.name, c.type) for c in events_columns(project.ids)])
    batches = [] if events is None else [conform(events, schema)]
    return finish_catalog(folder, graph, nodes, project, saves, batches, drops, now, cut, version)


def finish_catalog(
    folder: Path, graph: Graph, nodes: Nodes, project: Project, saves: SaveCounts, events: Iterable[pa.Table],
    drops: dict[str, Tally], now: int, cut: int | None, version: str,
) -> Catalog:  # fmt: skip
    """Writes pins/, users/ and catalog.json beside a saved graph/; shared by both builds and by `catalog_merge`."""
    PinTable.build(folder / "pins", graph, nodes.vocabulary, project.features, nodes.pins, saves)
    recents = Recent(2 * project.features.sequence_length, graph.pin_ids, drops.setdefault("events", Tally()))
    hides = Recent(project.serving.hidden_per_user, graph.pin_ids, Tally(), project.negative_actions)
    for batch in events:
        clean = clean_events(batch, project.actions, now, drops["events"], cut)
        recents.feed(clean)
        hides.feed(clean)
    users = UserTable.build(
        folder / "users",
        graph.pin_ids,
        nodes.vocabulary,
        project.features,
        nodes.users,
        recents.finish(),
        hides.finish(),
    )
    counts = {"pins": graph.n_pins, "boards": graph.n_boards, "edges": graph.n_edges, "users": len(users)}
    facts = {
        "format": FORMAT, "ids": project.ids, "actions": project.actions, "features": project.features.model_dump(),
        "counts": counts, "drops": {name: drops[name].as_dict() for name in INPUTS if name in drops},
    }  # fmt: skip
    (folder / "catalog.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    return Catalog.open(folder, version)


def build_catalog(
    project: Project, store: BundleStore, publish: bool = True, edges_before: datetime | None = None,
    progress: Progress = silent, in_memory: bool = False,
) -> str:  # fmt: skip
    """Builds a graph bundle from the project's inputs and returns its version. Ray must be up unless `in_memory`.

    `edges_before` leaves out edges and events from that moment on. Raises DataError with file, column, row and fix.
    """
    inputs = open_inputs(project)
    now, drops = now_us(), dict[str, Tally]()
    cut = None if edges_before is None else to_us(edges_before)
    schema_hash, topics = FeatureSet.of(project.features).schema_hash, known_topics(store)

    def read(name: str) -> pa.Table | None:
        return inputs[name].read() if name in inputs else None

    with store.write(GRAPH, {"schema_hash": schema_hash}, publish) as (folder, version):
        if in_memory:
            catalog = build_catalog_in_memory(
                inputs["edges"].read(),
                read("pins"),
                read("users"),
                read("events"),
                project,
                folder,
                edges_before,
                version,
                topics,
            )
            note_meta(folder, counts=catalog.counts, drops=catalog.drops)
            return version
        from cluster.graph.build import build_graph  # Ray is loaded only by those who build with it

        progress("read pins and users", 0.0)
        nodes = Nodes.of(project, read("pins"), read("users"), now, drops, topics)
        built = build_graph(
            inputs["edges"], folder / "graph", project.graph, now=now, before=cut, nodes=nodes,
            scratch=Path(project.home) / "build", progress=progress,
        )  # fmt: skip
        drops["edges"], graph = built.tally, built.graph
        saves = SaveCounts(graph.pin_degree, built.dated, built.recent, built.span)
        if project.graph.prunes:
            progress("prune", 0.0)
            graph = prune_graph(graph, nodes.pins, nodes.vocabulary, project.graph, drops["edges"])
            graph = replace_graph(folder / "graph", graph)
            progress("prune", 1.0)
        write_links(folder / "graph", graph.halves, project.graph.links)
        progress("write pins and users", 0.0)
        events = (batch.table for batch in inputs["events"].batches()) if "events" in inputs else ()
        catalog = finish_catalog(folder, graph, nodes, project, saves, events, drops, now, cut, version)
        note_meta(folder, counts=catalog.counts, drops=catalog.drops)
        progress("write pins and users", 1.0)
    return version


def known_topics(store: BundleStore) -> tuple[str, ...]:
    """Topics of the published graph in the order of their columns; a new build keeps them, so that models still fit."""
    if store.current(GRAPH) is None:
        return ()
    try:
        return Vocabulary.open(store.open(GRAPH, verify=False).path / "pins").topics
    except BundleError:  # damaged: nothing to agree with
        return ()


def require_edges(edges: int, tally: Tally) -> None:
    """Raises DataError when cleaning left nothing to build a graph from."""
    if not edges:
        why = "; ".join(f"{n} rows: {what}" for what, n in tally.dropped.items()) or "the input has no rows"
        raise DataError(f"edges: no edge is left to build a graph from ({why})")
