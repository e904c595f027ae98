"""Which events count: what a user did, with which pin and when, and an action that the project knows."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.contract.ids import shown
from cluster.data.cleaning import Tally, drop, drop_bad_ids, drop_bad_times, moment

EMPTY_EVENT_ID = "event_id is empty (now missing)"
NAMED_ACTIONS = 10


def clean_events(
    table: pa.Table, actions: tuple[str, ...], now: int, tally: Tally, before: int | None = None
) -> pa.Table:
    """Events with user, pin, a known action and a time that is not in the future; with `before`, only earlier ones."""
    table = drop_bad_ids(table, ("user_id", "pin_id"), tally)
    table = _no_empty_event_ids(table, tally)
    table = drop(table, pc.is_null(table["action"]), "action is null", tally)
    table = _drop_unknown_actions(table, actions, tally)
    table = drop_bad_times(table, "occurred_at", now, tally)
    if before is not None:
        table = table.filter(pc.less(table["occurred_at"], moment(before)))
    return table


def _no_empty_event_ids(table: pa.Table, tally: Tally) -> pa.Table:
    """An empty event id is none: as an id, all the events that have it would count as one."""
    at = table.column_names.index("event_id") if "event_id" in table.column_names else None
    rows = () if at is None else np.flatnonzero(pc.fill_null(pc.equal(table["event_id"], ""), False))
    if not len(rows):
        return table
    tally.changed[EMPTY_EVENT_ID] += len(rows)
    tally.met(EMPTY_EVENT_ID, table, rows)
    return table.set_column(at, "event_id", pc.if_else(pc.not_equal(table["event_id"], ""), table["event_id"], None))


def _drop_unknown_actions(table: pa.Table, actions: tuple[str, ...], tally: Tally) -> pa.Table:
    """The most frequent unknown actions are counted by name, the others together: a wrong column has thousands."""
    known = pc.is_in(table["action"], pa.array(list(actions), pa.string()))
    if pc.all(known).as_py() in (True, None):
        return table
    counts = pc.value_counts(table["action"].filter(pc.invert(known)).combine_chunks())
    names = counts.field("values")
    most = np.argsort(-counts.field("counts").to_numpy(), kind="stable")
    named = [names[int(row)].as_py() for row in most[:NAMED_ACTIONS]]
    for action in named:
        table = drop(table, pc.equal(table["action"], action), f"action {shown(action)} is not among `actions`", tally)
    others = len(names) - len(named)
    known = pc.is_in(table["action"], pa.array(list(actions), pa.string()))
    return drop(table, pc.invert(known), f"action is one of {others:,} others that are not among `actions`", tally)
