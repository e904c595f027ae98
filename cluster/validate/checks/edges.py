"""The check of the edges input: ids, times, repeats, pins that there are, and sizes of boards."""

import pyarrow as pa

from cluster.data.cleaning import Tally, clean_edges
from cluster.data.reading import Input
from cluster.graph.edges import index_edges
from cluster.graph.ids import IdMap
from cluster.validate.checks.notes import note_old
from cluster.validate.examination import Examination
from cluster.validate.report import Finding


def check_edges(source: Input, run: Examination, pin_map: IdMap | None) -> IdMap | None:
    """Fills in the report; returns the ids of the pins with an edge, or None when not all edges could be read.

    `pin_map`: the pins that an edge may name, None for any. All edges are in memory at once, to count duplicates.
    """
    pin_ids: list[IdMap] = []

    def rules(table: pa.Table, tally: Tally) -> pa.Table:
        table = clean_edges(table, run.now, tally)
        note_old(table, "saved_at", tally)
        indexed = index_edges(table, run.project.graph, tally, pin_map)
        pin_ids.append(IdMap.from_ids(indexed.pin_ids))
        return table.slice(0, len(indexed.pins))

    run.apply(source, rules)
    mine = run.report.tables[source.name]
    if mine.rows and not mine.used and not mine.errors:
        what = "no edge is left: all rows were dropped for the reasons below"
        mine.findings.insert(0, Finding("error", source.name, what, "correct the rows", source.source.path))
    return None if mine.errors else pin_ids[0]
