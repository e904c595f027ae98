"""How a graph bundle is built from a project's inputs: on Ray, or in memory. Opening one needs nothing of this file.

Ray comes in by `cluster.graph.build` alone, and only when a build asks for it: merging and tests run without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.catalog.catalog import Catalog
from cluster.catalog.finish import INPUTS, Build, finish_catalog, graph_meta
from cluster.catalog.history import History
from cluster.catalog.nodes import Nodes, conform
from cluster.catalog.pins import SaveCounts
from cluster.catalog.pruning import prune_graph, replace_graph
from cluster.catalog.vocabulary import Vocabulary
from cluster.data.cleaning import Tally, clean_edges, to_us
from cluster.data.inputs import open_inputs
from cluster.data.reading import Input
from cluster.data.schema import edges_columns, events_columns
from cluster.errors import BundleError, DataError
from cluster.graph.csr import Graph
from cluster.graph.edges import index_edges
from cluster.graph.ids import IdMap
from cluster.graph.span import Span
from cluster.graph.splitting import lay_out
from cluster.kinds import GRAPH
from cluster.progress import Progress, silent
from cluster.settings.project import Project
from cluster.similarity.build import measure
from cluster.similarity.tables import Similarity
from cluster.store.bundles import BundleStore, note_meta
from cluster.store.home import logs_of
from cluster.store.logs import LogStore


@dataclass(frozen=True)
class Tables:
    """The inputs in memory, in contract columns (optional ones may lack); None where a project has no such input."""

    edges: pa.Table
    pins: pa.Table | None = None
    users: pa.Table | None = None
    events: pa.Table | None = None

    @classmethod
    def read(cls, inputs: Mapping[str, Input]) -> "Tables":
        """Those of a project's inputs that a graph is built from."""
        return cls(**{name: inputs[name].read() for name in INPUTS if name in inputs})


def build_catalog(
    project: Project,
    store: BundleStore,
    publish: bool = True,
    edges_before: datetime | None = None,
    progress: Progress = silent,
    in_memory: bool = False,
) -> str:
    """Builds a graph bundle from the project's inputs and returns its version. Ray must be up unless `in_memory`.

    `edges_before` leaves out edges and events from that moment on. Raises DataError with file, column, row and fix.
    """
    inputs = open_inputs(project)
    topics = known_topics(store)
    logs = logs_of(project)
    with store.write(GRAPH, graph_meta(project), publish) as (folder, version):
        if in_memory:
            tables = Tables.read(inputs)
            catalog = build_catalog_in_memory(tables, project, folder, edges_before, version, topics, logs)
        else:
            before = None if edges_before is None else to_us(edges_before)
            catalog = _build_on_ray(inputs, Build(project, folder, version, before=before, logs=logs), topics, progress)
        note_meta(folder, counts=catalog.counts, drops=catalog.drops)
    return version


def build_catalog_in_memory(
    tables: Tables,
    project: Project,
    folder: Path,
    before: datetime | None = None,
    version: str = "",
    topics: tuple[str, ...] = (),
    logs: LogStore | None = None,
) -> Catalog:
    """Builds a catalog in `folder` from tables, without Ray or files.

    Rows are cleaned by the same rules as files; with `before`, edges and events from then on are left out. Of the
    project, only ids, actions, features, graph settings and `serving.hidden_per_user` are used. `topics` keep their
    columns (see Vocabulary); `logs` tell how often clients showed a pin. Raises DataError when no edge is left.
    """
    build = Build(project, folder, version, before=None if before is None else to_us(before), logs=logs)
    tally = build.tally("edges")
    nodes = Nodes.of(project, tables.pins, tables.users, build.now, build.drops, topics)
    edges = conform(tables.edges, pa.schema([(c.name, c.type) for c in edges_columns(project.ids)]))
    edges = clean_edges(edges, build.now, tally, build.before)
    span = Span.of(edges["saved_at"])
    indexed = index_edges(edges, project.graph, tally, nodes.pin_map).with_pins(nodes.listed(build.before))
    require_edges(len(indexed.pins), tally)

    dated, recent = indexed.pin_counts(span)
    pin_ids = IdMap.from_ids(indexed.pin_ids)
    board_ids = IdMap.from_ids(indexed.board_ids)
    codes, locales = nodes.locale_codes(pin_ids)
    graph = Graph.from_edges(
        indexed.boards, indexed.pins, len(board_ids), len(pin_ids), pin_ids, board_ids, codes, locales
    )
    if codes is not None:  # the graph has renumbered its pins by locale
        order = np.argsort(codes, kind="stable")
        dated = dated[order]
        recent = recent[order]
    saves = SaveCounts(graph.pin_degree, dated, recent, span)

    if project.graph.prunes:
        graph = prune_graph(graph, nodes.pins, nodes.vocabulary, project.graph, tally)
    graph.save(folder / "graph")
    lay_out(folder / "graph", graph, project.graph)
    schema = pa.schema([(c.name, c.type) for c in events_columns(project.ids)])
    events = [] if tables.events is None else [conform(tables.events, schema)]
    return finish_catalog(build, graph, nodes, saves, events, lambda past: measure(graph, past, project.similarity))


def _build_on_ray(inputs: dict[str, Input], build: Build, topics: tuple[str, ...], progress: Progress) -> Catalog:
    from cluster.graph.build import build_graph  # Ray is loaded only by those who build with it
    from cluster.similarity.tasks import blocks_on_ray

    project = build.project
    target = build.folder / "graph"
    progress("read pins and users", 0.0)
    pins, users = (inputs[name].read() if name in inputs else None for name in ("pins", "users"))
    nodes = Nodes.of(project, pins, users, build.now, build.drops, topics)
    built = build_graph(
        inputs["edges"],
        target,
        project.graph,
        now=build.now,
        before=build.before,
        nodes=nodes,
        scratch=Path(project.local_home) / "build",
        progress=progress,
    )
    build.drops["edges"] = built.tally
    graph = built.graph
    saves = SaveCounts(graph.pin_degree, built.dated, built.recent, built.span)
    if project.graph.prunes:
        progress("prune", 0.0)
        graph = prune_graph(graph, nodes.pins, nodes.vocabulary, project.graph, built.tally)
        graph = replace_graph(target, graph)
        progress("prune", 1.0)
    lay_out(target, graph, project.graph)
    progress("write pins and users", 0.0)
    events = (batch.table for batch in inputs["events"].batches()) if "events" in inputs else ()

    def similar(past: History | None) -> Similarity:
        return measure(graph, past, project.similarity, blocks_on_ray(progress))

    catalog = finish_catalog(build, graph, nodes, saves, events, similar)
    progress("write pins and users", 1.0)
    return catalog


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
