"""How a graph bundle is built from a project's inputs: on Ray, or in memory. Opening one needs nothing of this file.

Ray comes in by `cluster.graph.build` alone, and only when a build asks for it: merging and tests run without.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.catalog.activity import activity_of
from cluster.catalog.catalog import FORMAT, Catalog
from cluster.catalog.history import History, NewestActions
from cluster.catalog.nodes import ON_NO_BOARD, Nodes, conform
from cluster.catalog.pins import PinTable, SaveCounts, pin_rows
from cluster.catalog.pruning import prune_graph, replace_graph
from cluster.catalog.users import UserTable
from cluster.catalog.vocabulary import Vocabulary
from cluster.data.cleaning import Tally, clean_edges, now_us, to_us
from cluster.data.events import clean_events
from cluster.data.inputs import open_inputs
from cluster.data.reading import Input
from cluster.data.schema import edges_columns, events_columns
from cluster.errors import BundleError, DataError
from cluster.features.assemble import FeatureSet
from cluster.graph.csr import Graph
from cluster.graph.edges import index_edges
from cluster.graph.ids import IdMap
from cluster.graph.packing import write_links
from cluster.graph.span import Span
from cluster.kinds import GRAPH
from cluster.progress import Progress, silent
from cluster.settings.project import Project
from cluster.similarity.build import measure
from cluster.similarity.tables import Similarity
from cluster.store.bundles import BundleStore, note_meta

INPUTS = ("edges", "pins", "users", "events")


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


@dataclass
class Build:
    """One build under way: what of, into which folder, and what it counts of each input on its way."""

    project: Project
    folder: Path
    version: str = ""
    now: int = field(default_factory=now_us)  # microseconds; what lies later is in the future
    before: int | None = None  # microseconds; edges and events from then on are left out
    drops: dict[str, Tally] = field(default_factory=dict)

    def tally(self, name: str) -> Tally:
        """The counts of one input."""
        return self.drops.setdefault(name, Tally())


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
    meta = {"schema_hash": FeatureSet.of(project.features).schema_hash}
    with store.write(GRAPH, meta, publish) as (folder, version):
        if in_memory:
            catalog = build_catalog_in_memory(Tables.read(inputs), project, folder, edges_before, version, topics)
        else:
            before = None if edges_before is None else to_us(edges_before)
            catalog = _build_on_ray(inputs, Build(project, folder, version, before=before), topics, progress)
        note_meta(folder, counts=catalog.counts, drops=catalog.drops)
    return version


def build_catalog_in_memory(
    tables: Tables,
    project: Project,
    folder: Path,
    before: datetime | None = None,
    version: str = "",
    topics: tuple[str, ...] = (),
) -> Catalog:
    """Builds a catalog in `folder` from tables, without Ray or files.

    Rows are cleaned by the same rules as files; with `before`, edges and events from then on are left out. Of the
    project, only ids, actions, features, graph settings and `serving.hidden_per_user` are used. `topics` keep their
    columns (see Vocabulary). Raises DataError when no edge is left.
    """
    build = Build(project, folder, version, before=None if before is None else to_us(before))
    tally = build.tally("edges")
    nodes = Nodes.of(project, tables.pins, tables.users, build.now, build.drops, topics)
    edges = conform(tables.edges, pa.schema([(c.name, c.type) for c in edges_columns(project.ids)]))
    edges = clean_edges(edges, build.now, tally, build.before)
    span = Span.of(edges["saved_at"])
    indexed = index_edges(edges, project.graph, tally, nodes.pin_map)
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
    write_links(folder / "graph", graph.halves, project.graph.links)
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
        scratch=Path(project.home) / "build",
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
    write_links(target, graph.halves, project.graph.links)
    progress("write pins and users", 0.0)
    events = (batch.table for batch in inputs["events"].batches()) if "events" in inputs else ()

    def similar(past: History | None) -> Similarity:
        return measure(graph, past, project.similarity, blocks_on_ray(progress))

    catalog = finish_catalog(build, graph, nodes, saves, events, similar)
    progress("write pins and users", 1.0)
    return catalog


def finish_catalog(
    build: Build,
    graph: Graph,
    nodes: Nodes,
    saves: SaveCounts,
    events: Iterable[pa.Table],
    similar: Callable[[History | None], Similarity],
) -> Catalog:
    """Writes similar/, pins/, users/ and catalog.json beside a saved graph/; for builds and `cluster.catalog.merge`.

    `events`: tables of the events input, not yet cleaned. `similar` measures how alike pins are, given the past.
    """
    project = build.project
    folder = build.folder
    tally = build.tally("events")
    newest = NewestActions(project.features.remembered, graph.pin_ids, tally)
    hides = NewestActions(project.serving.hidden_per_user, graph.pin_ids, Tally(), project.negative_actions)
    for batch in events:
        clean = clean_events(batch, project.actions, build.now, tally, build.before)
        newest.feed(clean)
        hides.feed(clean)
    history = newest.finish()
    similar(history).save(folder / "similar")
    activity = activity_of(history, graph.n_pins, project.features.history_actions)
    PinTable.build(folder / "pins", graph, nodes.vocabulary, project.features, nodes.pins, saves, activity)
    users = UserTable.build(
        folder / "users",
        graph.pin_ids,
        nodes.vocabulary,
        project.features,
        nodes.users,
        history,
        hides.finish(),
    )
    if nodes.pins is not None:
        reached = int((pin_rows(graph.pin_ids, nodes.pins) >= 0).sum())
        build.tally("pins").noted[ON_NO_BOARD] += len(nodes.pins) - reached
    facts = {
        "format": FORMAT,
        "ids": project.ids,
        "actions": project.actions,
        "features": project.features.model_dump(),
        "counts": {"pins": graph.n_pins, "boards": graph.n_boards, "edges": graph.n_edges, "users": len(users)},
        "drops": {name: build.drops[name].as_dict() for name in INPUTS if name in build.drops},
    }
    (folder / "catalog.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    return Catalog.open(folder, build.version)


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
