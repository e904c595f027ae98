"""Merges a file of edges, a day's say, into the published graph bundle: a new version without a full build, and no Ray.

The graph is merged in memory in time linear in its edges; pins/ and users/ are written anew from the project's inputs,
because pin indices move; pins that the pins input lists by now join the graph even without an edge. Until the next
full build an old pin keeps its locale and its edges, whatever the pins input says by now; limits on board size do not
apply; a pin's share of recent saves is an estimate (`carried_saves`); and how alike pins are stays as it was measured,
so that a new pin has no similar ones.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.catalog.catalog import Catalog
from cluster.catalog.finish import Build, finish_catalog, graph_meta
from cluster.catalog.nodes import Nodes, conform
from cluster.catalog.pins import SaveCounts
from cluster.catalog.pruning import PRUNED
from cluster.data.cleaning import Tally, clean_edges
from cluster.data.inputs import open_input, open_inputs
from cluster.data.reading import BadInput, Input
from cluster.data.schema import edges_columns
from cluster.errors import BundleError, ConfigError, DataError
from cluster.graph.any_graph import AnyGraph
from cluster.graph.edges import IndexedEdges, index_edges
from cluster.graph.incremental import ALREADY_THERE, held, merge, moved_pins
from cluster.graph.span import Span
from cluster.kinds import GRAPH
from cluster.progress import Progress, silent
from cluster.settings.project import GraphSettings, Project, Source
from cluster.store.bundles import BundleStore, note_meta
from cluster.store.home import logs_of


@dataclass(frozen=True)
class MergeResult:
    """A merge that is done. `drops` counts the rows of the new file alone; the bundle's manifest, those of all."""

    version: str
    base: str  # the version that was merged into
    added: dict[str, int]  # edges, pins and boards that are new
    counts: dict[str, int]  # of the whole bundle
    drops: dict[str, Any]


def merge_edges(
    project: Project,
    store: BundleStore,
    path: str | None,
    publish: bool = True,
    progress: Progress = silent,
    also: tuple[pa.Table, pa.Table] | None = None,
) -> MergeResult:
    """Adds the edges of a Parquet file or folder, in the columns of the project's `edges`, to the published graph.

    `also`: pins and edges of the log of fresh pins, which join them; of a pin that the inputs have, their row counts.

    Raises DataError with file, column, row and fix; ConfigError when the project prunes; BundleError when there is no
    graph to add to, when it is held, or when another was published meanwhile. Nothing is stored or published then.
    """
    refuse_pruning(project.graph.prunes)
    ordered = store.standings.held(GRAPH) if publish else None
    if ordered is not None:  # stored only, the next day's edges would be merged without these
        raise BundleError(f"the graph is held {ordered.text()}: `pinfunnel models release {GRAPH}`, then add the edges")
    edges = None if path is None else _day(project, path)
    base = _published(project, store)
    saves = SaveCounts.open(base.path / "pins", base.graph)
    meta = graph_meta(project)
    with store.write(GRAPH, meta, publish) as (folder, version):
        build = Build(project, folder, version, logs=logs_of(project))
        inputs = open_inputs(project)
        progress("read", 0.0)
        pins, users = (inputs[name].read() if name in inputs else None for name in ("pins", "users"))
        if also is not None and pins is not None:
            pins = _with_fresh(pins, also[0])
        # codes of locales are ranges of the graph, so they stay; topics may grow at the end
        known = base.pins.vocabulary
        nodes = Nodes.of(project, pins, users, build.now, build.drops, known.topics, locales=known.locales)
        tally = Tally()
        raw = [] if edges is None else [edges.read()]
        raw += [] if also is None else [also[1]]
        clean = clean_edges(pa.concat_tables(raw), build.now, tally)
        new = index_edges(clean, GraphSettings(), tally, nodes.pin_map).with_pins(nodes.listed())
        if not len(new.pins) and also is None:
            why = "; ".join(f"{n} rows: {what}" for what, n in tally.dropped.items())
            raise DataError(f"edges: {path}: no edge is left to add ({why})")
        progress("read", 1.0)

        progress("merge", 0.0)
        fresh = ~held(base.graph, new)
        tally.dropped[ALREADY_THERE] += int((~fresh).sum())
        graph = merge(base.graph, new, folder / "graph", locale_of=nodes.locale_names)
        saves = carried_saves(saves, base.graph, graph, new, fresh, saves.span.union(Span.of(clean["saved_at"])))
        progress("merge", 1.0)

        progress("write pins and users", 0.0)
        build.drops["edges"] = Tally.of(base.drops["edges"])
        build.drops["edges"].add(tally)
        events = (batch.table for batch in inputs["events"].batches()) if "events" in inputs else ()
        to = moved_pins(base.graph, graph)
        catalog = finish_catalog(build, graph, nodes, saves, events, lambda _: base.similarity.moved(to, graph.n_pins))
        added = {name: catalog.counts[name] - base.counts[name] for name in ("edges", "pins", "boards")}
        note_meta(folder, counts=catalog.counts, drops=catalog.drops, added=added, base=base.version)
        progress("write pins and users", 1.0)
        if publish and store.current(GRAPH) != base.version:  # what that one has would be lost
            raise BundleError("another graph was published while these edges were merged; add them again")
    return MergeResult(version, base.version, added, catalog.counts, {"edges": tally.as_dict()})


def _day(project: Project, path: str) -> Input:
    source = Source(path=path, columns=project.data.edges.columns)
    edges = open_input("edges", source, edges_columns(project.ids), given_by="--edges")
    if not edges.pieces:
        raise BadInput("edges", path, "the files hold no rows", "write rows")
    return edges


def _with_fresh(pins: pa.Table, fresh: pa.Table) -> pa.Table:
    """The pins input, and behind it the fresh pins that it lacks."""
    known = pins["pin_id"].combine_chunks()
    new = fresh.filter(pc.invert(pc.is_in(fresh["pin_id"], known)))
    return pa.concat_tables([pins, conform(new, pins.schema)])


def refuse_pruning(pruned: bool) -> None:
    """Raises ConfigError when asked to merge into a pruned graph."""
    if pruned:  # what pruning dropped is not there to be weighed against the new edges, and would be dropped twice
        raise ConfigError(
            "edges cannot be added to a graph that is pruned by topics (graph.prune_boards, graph.prune_delta): put "
            "them into the `edges` input and run `pinfunnel build-graph`, or build without pruning"
        )


def carried_saves(
    saves: SaveCounts, old: AnyGraph, merged: AnyGraph, new: IndexedEdges, fresh: np.ndarray, span: Span
) -> SaveCounts:
    """How often the pins of `merged` were saved: the counts of `old`, and those of the new edges marked in `fresh`.

    The old edges' times are not kept, so `recent` is an estimate where they matter, else what a full build counts.
    Where the newest tenth of time moved, old recent saves count by the share of their window that still lies in it, as
    if spread evenly. An edge that is saved again, later than all of `old`, becomes recent unless it was recent before;
    the chance of that is taken to be its pin's share of recent saves.
    """
    moved = moved_pins(old, merged)
    index = merged.pin_ids.index_of(new.pin_ids)
    dated = np.zeros(merged.n_pins, np.int32)
    recent = np.zeros(merged.n_pins, np.float32)
    dated[moved] = saves.dated
    recent[moved] = saves.recent * _still_recent(saves.span, span)
    if new.saved is not None and saves.span.greatest is not None:
        # not later than all of `old`: that may be a row which was counted already
        _, again = _some(new, ~fresh & (new.saved > saves.span.greatest)).pin_counts(span)
        recent[index] += again * (1 - recent[index] / np.maximum(dated[index], 1))
    for total, more in zip((dated, recent), _some(new, fresh).pin_counts(span), strict=True):
        total[index] += more
    return SaveCounts(merged.pin_degree, dated, np.minimum(recent, dated), span)


def _some(edges: IndexedEdges, keep: np.ndarray) -> IndexedEdges:
    saved = None if edges.saved is None else edges.saved[keep]
    return replace(edges, boards=edges.boards[keep], pins=edges.pins[keep], saved=saved)


def _still_recent(old: Span, new: Span) -> float:
    """The share of the old span's newest tenth that lies in the new one's."""
    begin = old.recent_from
    begin_new = new.recent_from
    if begin is None or begin_new is None or old.newest is None or begin_new <= begin:
        return 1.0
    return max(old.newest - begin_new, 0) / max(old.newest - begin, 1)


def _published(project: Project, store: BundleStore) -> Catalog:
    version = store.current(GRAPH)
    if version is None:
        raise BundleError(f"no graph is published under {store.root}: run `pinfunnel build-graph` first")
    base = Catalog.open(store.open(GRAPH, version).path, version).require_ids(project.ids)
    base.require_shards(project.graph.shards)
    refuse_pruning(bool(base.drops["edges"]["dropped"].get(PRUNED)))
    return base
