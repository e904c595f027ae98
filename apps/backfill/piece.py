"""A piece of a replay: some moments of one slice, written to the logs as if they had been served. No Ray.

Candidates acted on count as impressed (no position was taken), the rest were never shown. Request ids, event ids and
file names follow from the piece alone: a piece that is done again, by whichever process, overwrites and never doubles.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from apps.backfill.history import PastEvents
from apps.backfill.ledger import Ledger
from apps.backfill.moment import Replayed, ReplayPlan, replay_moment
from apps.project import Opened
from cluster.data.schema import IMPRESSED, RANKED, event_schema
from cluster.store.replays import REPLAYED, id_prefix
from serving.logs.impressions import log_row, rows_to_table
from training.lightweight.strategies.strategy import sample

PER_CANDIDATE = ("pin_id", "stage", "position", "explored", "visit_score", "lightweight_score", "full_score")
"""Columns of the serving log with a value for each candidate, features apart."""


@dataclass(frozen=True)
class Backfilled:
    """What was written."""

    requests: int = 0
    candidates: int = 0
    actions: int = 0
    actions_reached: int = 0

    def __add__(self, other: "Backfilled") -> "Backfilled":
        return Backfilled(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def reach(self) -> float:
        """Share of the next actions whose pin was among the candidates: the walk's ceiling."""
        return self.actions_reached / max(self.actions, 1)


@dataclass(frozen=True)
class ReplayJob:
    """What all pieces of one replay have in common. `key` tells it from any other (apps/backfill/jobs.py)."""

    opened: Opened
    client: str
    plan: ReplayPlan
    key: str


@dataclass(frozen=True)
class ReplayPiece:
    """Moments of one slice, in order of time."""

    number: int
    begin: int  # of the slice, microseconds
    rows: np.ndarray  # int64, of the history


class PieceWriter:
    """Replays and writes pieces in this process. Models play no part: the walk's order is what is logged."""

    def __init__(self, job: ReplayJob):
        self._job = job
        self._process = job.opened.new_process()
        self._graph = ""

    def __call__(self, history: PastEvents, piece: ReplayPiece, graph: str) -> Backfilled:
        """Write the piece, replayed with the stored version `graph`, and note that it is done."""
        job, process = self._job, self._process
        if graph != self._graph:
            process.walker.load(graph)
            self._graph = graph
        rows: list[dict] = []
        events: list[tuple] = []
        done = Backfilled()
        for at in piece.rows:
            moment = replay_moment(process, history, job.client, job.plan, piece.begin, int(at))
            if moment is None:
                continue
            row, reached = _as_served(moment, process.features.schema_hash)
            row = thinned(row, job.plan.unseen)
            rows.append(row)
            events += _events_of(moment, row["request_id"])
            done += Backfilled(1, len(row["pin_id"]), len(moment.next_pins), reached)
        name = f"{id_prefix(job.client)}{job.key}-{piece.number:06d}"
        ids = job.opened.project.ids
        if rows:
            process.logs.write_serving(rows_to_table(rows, ids, process.features), process.features, name)
            process.logs.write_events(_events_table(events, ids), name)
        Ledger.of(job, process.logs.root).finish(piece.number, done)
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


def thinned(row: dict, unseen: int) -> dict:
    """The row with all impressed candidates and at most `unseen` of the others, and the rate that those have.

    Their order and their values stay: ranks and shares among candidates are those of the whole walk.
    """
    n = len(row["pin_id"])
    others = np.flatnonzero(row["stage"] != IMPRESSED)
    # another draw than that of training, which depends on the request id as it is
    picked, rate = sample(others, unseen, f"logged {row['request_id']}")
    if rate == 1.0:
        return row
    kept = np.sort(np.concatenate([np.flatnonzero(row["stage"] == IMPRESSED), picked]))
    out = {**row, **{name: row[name][kept] for name in PER_CANDIDATE}, "kept_rate": rate}
    out["candidate_features"] = row["candidate_features"].reshape(n, -1)[kept].ravel()
    return out


def _events_of(moment: Replayed, request: str) -> list[tuple]:
    """What the user did next, as rows of the event log."""
    ask = moment.answer.ask
    return [
        (ask.user_id, pin, action, int(at), f"{request}-{pin}-{action}", request, ask.client)
        for pin, action, at in zip(moment.next_pins, moment.next_actions, moment.next_at, strict=True)
    ]


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
