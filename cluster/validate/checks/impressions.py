"""The check of the impressions input: ids, positions, times, and whether pins, users, clients and events fit them."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.catalog.history import NOT_IN_GRAPH
from cluster.contract.ids import shown
from cluster.data.cleaning import Tally, drop
from cluster.data.impressions import answered, clean_impressions
from cluster.data.reading import Input
from cluster.graph.ids import IdMap
from cluster.validate.checks.notes import note_old
from cluster.validate.examination import Examination
from cluster.validate.report import Finding

NEVER_ANSWERED = "no event answers an impression, so nothing that was shown would count as acted on"
STRANGERS = "user_id has no events (its requests are not replayed)"


def check_impressions(source: Input, run: Examination, graph_pins: IdMap | None) -> pa.Table | None:
    """Fills in the report; returns the impressions that a backfill can use, None when not all could be read."""

    def rules(table: pa.Table, tally: Tally) -> pa.Table:
        table = clean_impressions(table, run.now, tally)
        note_old(table, "shown_at", tally)
        if graph_pins is not None:
            table = drop(table, pa.array(graph_pins.index_of(table["pin_id"]) < 0), NOT_IN_GRAPH, tally)
        return table

    impressions = run.apply(source, rules)
    mine = run.report.tables[source.name]
    if mine.rows and not mine.used and not mine.errors:
        what = "no impression is left: all rows were dropped for the reasons below"
        mine.findings.insert(0, Finding("error", source.name, what, "correct the rows", source.source.path))
    return None if mine.errors else impressions


def check_answers(run: Examination, events: pa.Table, impressions: pa.Table) -> None:
    """Tells how many usable events answer one of the usable impressions; an error when none does."""
    mine = run.report.tables["impressions"]
    if not len(impressions) or not len(events):
        return
    tied = int((answered(events, impressions, run.project.attribution_hours) >= 0).sum())
    requests = pc.count_distinct(impressions["request_id"]).as_py()
    mine.remark = f"{tied:,} of {len(events):,} events answer one of {requests:,} requests"
    if not tied:
        fix = "look at the request ids of the events, or at their users, pins and times (UTC)"
        mine.findings.insert(0, Finding("error", "impressions", NEVER_ANSWERED, fix))
    unknown = int(np.asarray(pc.invert(pc.is_in(impressions["user_id"], events["user_id"].combine_chunks()))).sum())
    if unknown:
        fix = "nothing to do if these users never did anything"
        mine.findings.append(Finding("noted", "impressions", STRANGERS, fix, count=unknown))


def note_clients(run: Examination, impressions: pa.Table, clients: Collection[str]) -> None:
    """Notes impressions of surfaces that no client file is named after."""
    counts = pc.value_counts(impressions["client"].drop_null())
    for name, count in zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True):
        if name not in clients:
            what = f"client {shown(name)} has no client file (its impressions are not replayed)"
            fix = f"write one of the names that there are ({', '.join(clients)}), or add a file (docs/clients.md)"
            run.report.tables["impressions"].findings.append(Finding("noted", "impressions", what, fix, count=count))
