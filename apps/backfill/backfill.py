"""Backfill: replayed history written as if it had been served, so that the first models need no live traffic.

Each replayed moment becomes a row of the serving log; what the user did next becomes its events. Candidates acted on
count as impressed (no position was taken), the rest were never shown.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from apps.backfill.replay import Replay, Replayed, ReplayPlan
from cluster.data.schema import IMPRESSED, RANKED, event_schema
from cluster.errors import DataError
from cluster.progress import Progress, silent
from cluster.store.logs import LogStore
from cluster.store.replays import REPLAYED, count_replayed, drop_replayed, id_prefix
from serving.logs.impressions import log_row, rows_to_table

ROWS_A_FILE = 512


@dataclass
class Backfilled:
    """What was written."""

    requests: int = 0
    candidates: int = 0
    actions: int = 0
    actions_reached: int = 0

    @property
    def reach(self) -> float:
        """Share of the next actions whose pin was among the candidates: the walk's ceiling."""
        return self.actions_reached / max(self.actions, 1)


def make_way(logs: LogStore, client: str, plan: ReplayPlan, replace: bool) -> int:
    """Takes an earlier replay of the plan's span out of the logs, returns its requests; without `replace`, DataError.

    Both would have the same request ids, and of those the older row counts.
    """
    span = plan.since, plan.until
    if replace:
        return drop_replayed(logs, client, span)
    if found := count_replayed(logs, client, span):
        raise DataError(
            f"client {client}: {found:,} backfilled requests are in the logs already: run backfill with --replace to "
            "replace them by a new replay"
        )
    return 0


def backfill(replay: Replay, client: str, plan: ReplayPlan, progress: Progress = silent) -> Backfilled:
    """Replay history for one client into the project's logs; `make_way` first when that was done before."""
    process = replay.process
    ids = replay.opened.project.ids
    done = Backfilled()
    rows: list[dict] = []
    events: list[tuple] = []
    for moment in replay.run(client, plan, progress):
        row, acted = _as_served(moment, process.features.schema_hash)
        rows.append(row)
        done.requests += 1
        done.candidates += len(moment.answer.walked.pins)
        done.actions += len(moment.next_pins)
        done.actions_reached += acted
        request = row["request_id"]
        for pin, action, at in zip(moment.next_pins, moment.next_actions, moment.next_at, strict=True):
            events.append(
                (moment.answer.ask.user_id, pin, action, int(at), f"{request}-{pin}-{action}", request, client)
            )
        if len(rows) == ROWS_A_FILE:
            process.logs.write_serving(rows_to_table(rows, ids, process.features), process.features)
            rows = []
    if rows:
        process.logs.write_serving(rows_to_table(rows, ids, process.features), process.features)
    if events:
        process.logs.write_events(_events_table(events, ids))
    return done


def _as_served(moment: Replayed, schema_hash: str) -> tuple[dict, int]:
    """The log row of a replayed moment, and how many next actions are among its candidates."""
    answer = moment.answer
    acted = np.isin(answer.walked.pin_ids, moment.next_pins)
    answer.shown = np.flatnonzero(acted).astype(np.int32)
    answer.explored = np.zeros(len(answer.shown), bool)
    ask = answer.ask
    row = log_row(answer, f"{id_prefix(ask.client)}{ask.user_id}-{ask.at}", schema_hash, REPLAYED, None)
    row["position"] = np.full(len(acted), -1, np.int16)
    # No cut was made: were the others logged as cut off, negatives would come from the top of the walk only.
    row["stage"] = np.where(acted, IMPRESSED, RANKED).astype(np.int8)
    return row, int(np.isin(moment.next_pins, answer.walked.pin_ids).sum())


def _events_table(rows: list[tuple], ids: str) -> pa.Table:
    names = ("user_id", "pin_id", "action", "occurred_at", "event_id", "request_id", "client")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    now = datetime.now(UTC)
    schema = event_schema(ids)
    arrays = []
    for column in schema:
        values = [now] * len(rows) if column.name == "received_at" else columns[column.name]
        arrays.append(pa.array(np.array(values, object), column.type))
    return pa.Table.from_arrays(arrays, schema=schema)
