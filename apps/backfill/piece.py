"""A piece of a replay: some moments of one slice, written to the logs as if they had been served. No Ray.

What an earlier system showed is impressed, at its position. Where that is not known, candidates acted on count as
impressed, without a position; the rest were never shown. Request ids, event ids and
file names follow from the piece alone: a piece that is done again, by whichever process, overwrites and never doubles.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from apps.backfill.ledger import Ledger
from apps.backfill.moment import Replayed, ReplayPlan, replay_moment, replay_request
from apps.backfill.shown import KnownPast
from apps.project import Opened
from cluster.data.schema import IMPRESSED, RANKED, event_schema
from cluster.store.pseudonyms import Pseudonyms
from cluster.store.replays import REPLAYED, id_prefix
from serving.logs.impressions import log_row, rows_to_table
from training.lightweight.strategies.strategy import sample

PER_CANDIDATE = ("pin_id", "stage", "position", "explored", "visit_score", "lightweight_score", "full_score")
MATRICES = ("source_rank", "source_score", "candidate_features")
"""Columns of the serving log with a value for each candidate; and those with a row of values for each."""


@dataclass(frozen=True)
class Backfilled:
    """What was written."""

    requests: int = 0
    candidates: int = 0
    actions: int = 0
    actions_reached: int = 0
    shown: int = 0  # pins that an earlier system showed in these requests
    shown_walked: int = 0  # of them, those that the walk had found
    shown_unknown: int = 0  # of them, those that the graph of that time did not have: left out
    passed_over: int = 0  # moments that gave no request

    def __add__(self, other: "Backfilled") -> "Backfilled":
        return Backfilled(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def text(self) -> str:
        """The figures in one line."""
        parts = [
            f"{self.requests:,} requests, {self.candidates:,} candidates, "
            f"{100 * self.reach:.1f} % of the next {self.actions:,} actions were among them"
        ]
        if self.shown:
            parts.append(
                f"{self.shown:,} pins were shown in these; the walk finds "
                f"{100 * self.shown_walked / self.shown:.1f} % of them, and {self.shown_unknown:,} are left out, as "
                "the graph of their time has no such pin (--graphs: rebuild it more often)"
            )
        if self.passed_over:
            parts.append(
                f"{self.passed_over:,} moments passed over: too little known of the user (--min-history), nothing new "
                "to come, or no shown pin in the graph"
            )
        return "; ".join(parts)

    @property
    def reach(self) -> float:
        """Share of the next actions whose pin was among the candidates: the walk's ceiling, unless pins were shown."""
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
    rows: np.ndarray  # int64, of the past events, or numbers of past requests


class PieceWriter:
    """Replays and writes pieces in this process. Models play no part: the walk's order is what is logged."""

    def __init__(self, job: ReplayJob):
        self._job = job
        self._process = job.opened.new_process()
        self._names = self._process.pseudonyms
        self._graph = ""

    def __call__(self, past: KnownPast, piece: ReplayPiece, graph: str) -> Backfilled:
        """Write the piece, replayed with the stored version `graph`, and note that it is done."""
        job, process = self._job, self._process
        if graph != self._graph:
            process.sources.load(graph)
            self._graph = graph
        rows: list[dict] = []
        events: list[tuple] = []
        done = Backfilled()
        showed = past.showed(job.client)
        for at in piece.rows.tolist():
            if showed:
                moment = replay_request(process, past, job.client, job.plan, piece.begin, at)
            else:
                moment = replay_moment(process, past.events, job.client, job.plan, piece.begin, at)
            row = None if moment is None else as_served(moment, process.features.schema_hash, self._names)
            if moment is None or row is None:
                done += Backfilled(passed_over=1)
                continue
            row = thinned(row, np.isin(row["pin_id"], moment.next_pins), job.plan.unseen)
            rows.append(row)
            events += _events_of(moment, row["request_id"], row["user_id"])
            done += _figures(moment, len(row["pin_id"]))
        name = f"{id_prefix(job.client)}{job.key}-{piece.number:06d}"
        ids = job.opened.project.ids
        if rows:
            process.logs.write_serving(rows_to_table(rows, ids, process.features), process.features, name)
        if events:
            process.logs.write_events(_events_table(events, ids), name)
        Ledger.of(job, process.logs.root).finish(piece.number, done)
        return done


def as_served(moment: Replayed, schema_hash: str, names: Pseudonyms) -> dict | None:
    """The log row of a replayed moment; None when the graph has nothing of what was shown."""
    answer = moment.answer
    ask, candidates = answer.ask, answer.candidates
    position = np.full(len(candidates.pins), -1, np.int16)
    if moment.request_id:
        name = moment.request_id
        candidate, shown = _found(moment)
        position[candidate] = moment.shown_position[shown]
        impressed = position >= 0
        if not impressed.any():
            return None
    else:
        name = f"{names.of(ask.user_id)}-{ask.at}"
        impressed = np.isin(candidates.pin_ids, moment.next_pins)
    answer.shown = np.flatnonzero(impressed).astype(np.int32)
    answer.explored = np.zeros(len(answer.shown), bool)
    answer.explored_rate = 0.0
    answer.dropped_rate = 0.0
    # No cut was made: were the others logged as cut off, negatives would come from the top of the walk only.
    stage = np.where(impressed, IMPRESSED, RANKED).astype(np.int8)
    row = log_row(answer, f"{id_prefix(ask.client)}{name}", schema_hash, REPLAYED, None)
    return {**row, "user_id": names.of(ask.user_id), "position": position, "stage": stage}


def _found(moment: Replayed) -> tuple[np.ndarray, np.ndarray]:
    """Of the shown pins that are candidates: their rows among the candidates, and among what was shown."""
    pin_ids = moment.answer.candidates.pin_ids
    _, row, shown = np.intersect1d(pin_ids, moment.shown_pins, assume_unique=True, return_indices=True)
    return row, shown


def _figures(moment: Replayed, logged: int) -> Backfilled:
    candidates = moment.answer.candidates
    row, _ = _found(moment)
    return Backfilled(
        requests=1,
        candidates=logged,
        actions=len(moment.next_pins),
        actions_reached=int(np.isin(moment.next_pins, candidates.pin_ids).sum()),
        shown=len(moment.shown_pins),
        shown_walked=int((candidates.visits[row] > 0).sum()),
        shown_unknown=len(moment.shown_pins) - len(row),
    )


def thinned(row: dict, acted: np.ndarray, unseen: int) -> dict:
    """The row with all candidates that were impressed or acted on (bool[n]), at most `unseen` others, and their rate.

    Their order and their values stay: ranks and shares among candidates are those of the whole walk.
    """
    n = len(row["pin_id"])
    whole = (row["stage"] == IMPRESSED) | acted
    # another draw than that of training, which depends on the request id as it is
    picked, rate = sample(np.flatnonzero(~whole), unseen, f"logged {row['request_id']}")
    if rate == 1.0:
        return row
    kept = np.sort(np.concatenate([np.flatnonzero(whole), picked]))
    out = {**row, **{name: row[name][kept] for name in PER_CANDIDATE}, "kept_rate": rate}
    for name in MATRICES:
        out[name] = np.asarray(row[name]).reshape(n, -1)[kept].ravel()
    return out


def _events_of(moment: Replayed, request: str, user: int | str) -> list[tuple]:
    """What the user did next that counts, as rows of the event log."""
    ask = moment.answer.ask
    return [
        (user, pin, action, int(at), f"{request}-{pin}-{action}", request, ask.client)
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
