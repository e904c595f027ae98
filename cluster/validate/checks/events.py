"""The check of the events input: ids, actions, times, repeats, and whether pins, users and requests are known."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.catalog.history import NOT_IN_GRAPH, REPEATED_EVENT
from cluster.data.cleaning import Tally, drop, drop_repeats
from cluster.data.events import clean_events
from cluster.data.files import UNREADABLE
from cluster.data.reading import Input
from cluster.graph.ids import IdMap
from cluster.store.logs import LogStore
from cluster.store.paths import opened
from cluster.validate.checks.notes import note, note_old
from cluster.validate.examination import Examination

UNKNOWN_USER = "user_id is not among the users (it gets a row of its own)"
UNKNOWN_REQUEST = "request_id is neither in the serving log nor among the impressions (the event labels nothing)"


def check_events(
    source: Input, run: Examination, graph_pins: IdMap | None, users: IdMap | None, requests: pa.Array
) -> pa.Table:
    """Fills in the report; returns the events that a build would use.

    `graph_pins`: the pins of the graph, `users`: those of the input; None where unknown. `requests`: ids of the
    requests that an event may name.
    """

    def rules(table: pa.Table, tally: Tally) -> pa.Table:
        table = clean_events(table, run.project.actions, run.now, tally)
        note_old(table, "occurred_at", tally)
        if graph_pins is not None:
            table = drop(table, pa.array(graph_pins.index_of(table["pin_id"]) < 0), NOT_IN_GRAPH, tally)
        table = drop_repeats(table, "event_id", REPEATED_EVENT, tally)
        if users is not None:
            note(table, np.asarray(users.index_of(table["user_id"]) < 0), UNKNOWN_USER, tally)
        asked = np.asarray(table["request_id"].is_valid())
        known = np.asarray(pc.is_in(table["request_id"], requests))
        note(table, asked & ~known, UNKNOWN_REQUEST, tally)
        return table

    return run.apply(source, rules)


def logged_requests(logs: LogStore) -> pa.Array:
    """Request ids of the serving log; empty without one. Files that cannot be read are left out."""
    found = [pa.array([], pa.string())]
    for path in logs.serving_files().paths:
        try:
            ids = pq.read_table(opened(path), columns=["request_id"], partitioning=None)["request_id"]
        except UNREADABLE:
            continue
        found.append(ids.combine_chunks().cast(pa.string()))
    return pa.concat_arrays(found)
