"""A catalog with what came since it was built laid over it: fresh pins and saves, and nothing else is copied.

The result is a catalog like any other, of a version of its own (`version_of`), and is what a merge of the same rows
into the bundle would say (cluster.catalog.merge), but for what cluster.fresh.pins and cluster.fresh.graph name. Fresh
pins lie behind all locales of the graph: walks that prefer a locale do not prefer them. And no pin is measured to be
like them.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from cluster.attributes.table import AttributeTable
from cluster.catalog.catalog import Catalog
from cluster.catalog.pins import pin_rows
from cluster.catalog.pruning import PRUNED
from cluster.data.cleaning import Tally
from cluster.errors import BundleError
from cluster.fresh.graph import with_edges
from cluster.fresh.pins import PinTableBase
from cluster.graph.edges import IndexedEdges, index_edges
from cluster.graph.ids import IdMap
from cluster.graph.incremental import held
from cluster.settings.fresh import FreshSettings
from cluster.settings.project import GraphSettings
from cluster.similarity.neighbours import Neighbours
from cluster.similarity.tables import Similarity
from cluster.store.roomy import with_room


@dataclass(frozen=True)
class FreshRows:
    """Cleaned rows in the order in which they came, each pin once: columns of the data contract."""

    pins: pa.Table
    edges: pa.Table


@dataclass(frozen=True)
class Overlaid:
    """The catalog, what it has more than its bundle, and what it had no room for."""

    catalog: Catalog
    pins: int = 0
    edges: int = 0
    waiting_pins: int = 0
    waiting_edges: int = 0


def version_of(base: str, entries: int) -> str:
    """The name of a bundle's version with the first entries of the log over it: `20260131T…+57`."""
    return f"{base}+{entries}" if entries else base


def parts_of(version: str) -> tuple[str, int]:
    """The bundle's version and the entries over it."""
    base, _, entries = version.partition("+")
    return base, int(entries) if entries.isdigit() else 0


class OverlayBase:
    """One bundle, over which ever more rows are laid. Thread-safe: it only reads."""

    def __init__(self, catalog: Catalog):
        """Raises BundleError for a bundle that takes none."""
        if catalog.drops["edges"]["dropped"].get(PRUNED):
            raise BundleError("a graph that is pruned by topics takes no fresh pins before the next build")
        self.catalog = catalog
        self._pins = PinTableBase(catalog)

    def overlaid(self, fresh: FreshRows, version: str, most: FreshSettings) -> Overlaid:
        """`fresh`: all rows there are, also those that the bundle has by now. Raises BundleError and OSError."""
        base = self.catalog
        rows = fresh.pins if "pins" in base.drops else None  # without a pins input pins are known by their boards
        new_pins, waiting_pins = _first_new(base.graph.pin_ids, fresh.pins["pin_id"], most.pins)
        if len(waiting_pins):
            keep = IdMap.from_ids(waiting_pins).index_of(fresh.edges["pin_id"]) < 0
            fresh = replace(fresh, edges=fresh.edges.filter(pa.array(keep)))
        new, waiting_edges = self._new_edges(fresh.edges, most.edges)
        if rows is not None:
            new = new.with_pins(new_pins)
        if not len(new.pin_ids):
            return Overlaid(replace(base, version=version), 0, 0, len(waiting_pins), waiting_edges)
        graph = with_edges(base.graph, new)
        added = graph.pin_ids.ids_of(np.arange(base.graph.n_pins, graph.n_pins))
        taken = pin_rows(IdMap.from_ids(added), rows) if len(added) else np.empty(0, np.int64)
        catalog = replace(
            base,
            version=version,
            graph=graph,
            pins=self._pins.with_pins(graph, new, rows),
            similarity=_similarity(base.similarity, graph.n_pins),
            rates=base.rates.with_room(graph.n_pins),
            attributes=_attributes(base.attributes, rows, taken),
            counts={**base.counts, "pins": graph.n_pins, "boards": graph.n_boards, "edges": graph.n_edges},
        )
        return Overlaid(catalog, len(added), len(new.pins), len(waiting_pins), waiting_edges)

    def _new_edges(self, edges: pa.Table, most: int) -> tuple[IndexedEdges, int]:
        """The first `most` edges that the bundle lacks, and how many more there are."""
        new = _lacking(self.catalog, edges)
        if len(new.pins) <= most:
            return new, 0
        chosen = _lacking(self.catalog, edges.slice(0, 0))
        for end in range(most, len(edges) + most, max(most, 1)):  # a row that is there already makes no edge
            if len(chosen.pins) >= most:
                break
            chosen = _lacking(self.catalog, edges.slice(0, end))
        cut = _some(chosen, np.arange(len(chosen.pins)) < most)
        return cut, len(new.pins) - len(cut.pins)


def _lacking(catalog: Catalog, edges: pa.Table) -> IndexedEdges:
    new = index_edges(edges, GraphSettings(), Tally())
    return _some(new, ~held(catalog.graph, new))


def _some(edges: IndexedEdges, keep: np.ndarray) -> IndexedEdges:
    """The marked edges, with the ids that they name."""
    boards, of_board = np.unique(edges.boards[keep], return_inverse=True)
    pins, of_pin = np.unique(edges.pins[keep], return_inverse=True)
    return IndexedEdges(
        edges.board_ids.take(pa.array(boards)),
        edges.pin_ids.take(pa.array(pins)),
        of_board.astype(np.int32),
        of_pin.astype(np.int32),
        None if edges.saved is None else edges.saved[keep],
    )


def _first_new(known: IdMap, ids: pa.ChunkedArray, most: int) -> tuple[pa.Array, pa.Array]:
    """The first `most` ids that are not known, and the others."""
    column = ids.combine_chunks()
    new = column.filter(pa.array(known.index_of(column) < 0)) if len(column) else column
    return new.slice(0, most), new.slice(most)


def _similarity(base: Similarity, n_pins: int) -> Similarity:
    """The same rows; pins behind have none."""
    return Similarity(
        **{name: None if table is None else _neighbours(table, n_pins) for name, table in vars(base).items()}
    )


def _neighbours(base: Neighbours, n_pins: int) -> Neighbours:
    n = len(base)
    rows = with_room(np.arange(n, dtype=np.int32) if base.rows is None else base.rows, n_pins)
    rows[n:] = -1
    return replace(base, rows=rows)


def _attributes(base: AttributeTable, pins: pa.Table | None, rows: np.ndarray) -> AttributeTable:
    """The attributes with those of fresh pins behind; `rows` int64[k] are theirs in `pins`."""
    n = base.n_pins
    made = AttributeTable(n + len(rows))
    given = {
        name: None if pins is None or name not in pins.column_names else pins for name in (*base.numbers, *base.texts)
    }
    for name, values in base.numbers.items():
        made.numbers[name] = with_room(values, made.n_pins)
        made.numbers[name][n:] = AttributeTable.of({name: "number"}, given[name], rows).numbers[name]
    for name, postings in base.texts.items():
        more = AttributeTable.of({name: "category"}, given[name], rows).texts[name]
        made.texts[name] = replace(postings, more=replace(more, pins=more.pins + np.int32(n)))
    return made
