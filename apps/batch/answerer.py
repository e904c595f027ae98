"""Answers pieces of a batch in one process: the same question, stages, log row and response as an HTTP request.

Users' newest actions come from a server on this machine where one runs, else from the event log as it was when the
batch began.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from apps.batch.plan import BatchPlan, path_of
from apps.batch.subjects import array_of
from apps.local_funnel import LocalFunnel
from apps.project import Opened
from cluster.errors import in_short
from serving.deploy.replica import one_thread_a_request
from serving.http.api import QueryPin, RecommendationRequest, RecommendationResponse
from serving.http.behind import Behind
from serving.http.responses import to_response
from serving.logs.user_state import StateTables
from serving.request.ask import Id

LOGGED_AT_ONCE = 256
"""Answers whose log rows wait in memory."""
UNWRITTEN_SECONDS = 600.0
"""Rows are written as they become many, not by the clock: each write is a file."""


@dataclass(frozen=True)
class PieceDone:
    """What became of a piece. `failed` answers are empty, and say why in `degraded`; `errors` are the first of them."""

    piece: int
    answered: int
    degraded: int
    failed: int
    errors: tuple[str, ...] = ()


class Answerer:
    """One process. Opens the graph and all models once."""

    def __init__(self, opened: Opened, plan: BatchPlan, out: Path, states: Path | None) -> None:
        """`states`: a folder of `UserStates`; None: nothing is known beyond the graph's history. Raises BundleError.

        Computes on one core: a network this small takes three times the CPU where torch spreads it over two.
        """
        one_thread_a_request()
        remember, hidden = opened.project.features.remembered, opened.project.serving.hidden_per_user
        tables = None if states is None else StateTables.open(states, remember, hidden)
        self._local = LocalFunnel(opened, None if tables is None else tables.of)
        process = self._local.process
        self._project = opened.project
        self.plan = plan
        self._out = out
        self._funnel = process.live_funnel
        self._log = process.serving_log(seconds=UNWRITTEN_SECONDS)
        self._logged_at_once = min(LOGGED_AT_ONCE, opened.project.serving.log_queue_rows)
        self._behind = Behind(self._funnel, self._log, process.features.schema_hash, _never, process.pseudonyms)

    def answer_piece(self, piece: int, ids: np.ndarray) -> PieceDone:
        """Answers these subjects. Their log rows are on disk before the file of answers is there. Raises OSError."""
        rows: list[tuple[Id, str, RecommendationResponse | None, str]] = []
        for one in ids.tolist():
            request_id = self.plan.request_id(one)
            try:
                rows.append((one, request_id, self._answer(one, request_id), ""))
            except Exception as error:  # of this one alone
                rows.append((one, request_id, None, in_short(error)))
            if self._log.waiting >= self._logged_at_once:
                self._log.flush()
        self._log.flush()
        self._write(piece, ids, rows)
        errors = [f"{one}: {error}" for one, _, _, error in rows if error]
        lacking = sum(answer is not None and bool(answer.degraded) for _, _, answer, _ in rows)
        return PieceDone(piece, len(rows) - len(errors), lacking, len(errors), tuple(errors[:3]))

    def close(self) -> None:
        """Write what is left."""
        self._log.close()

    def _body(self, one: Id) -> RecommendationRequest:
        plan = self.plan
        told: dict[str, Any] = {"limit": plan.limit, "experiment": plan.experiment, "at": plan.moment}
        if plan.kind == "pin":
            return RecommendationRequest(query_pins=[QueryPin(pin_id=one, weight=None)], **told)
        return RecommendationRequest(user_id=one, **told)

    def _answer(self, one: Id, request_id: str) -> RecommendationResponse:
        found = self._local.answer(self.plan.client, self._body(one))
        if self._funnel.teacher.wants(found.answer):
            self._funnel.teach_now(found.answer)
        self._behind.write(found.answer, request_id, found.body)
        return to_response(found.answer, request_id, False, 0.0, found.personal)

    def _write(
        self, piece: int, ids: np.ndarray, rows: list[tuple[Id, str, RecommendationResponse | None, str]]
    ) -> None:
        given = [answer.pins if answer is not None else [] for _, _, answer, _ in rows]
        offsets = pa.array(np.cumsum([0, *map(len, given)]), pa.int32())
        pins = array_of(np.array([pin.pin_id for some in given for pin in some], object), self._project)
        scores = pa.array([pin.score for some in given for pin in some], pa.float64())
        moment = self.plan.moment
        table = pa.table(
            {
                "request_id": pa.array([request_id for _, request_id, _, _ in rows], pa.string()),
                f"{self.plan.kind}_id": array_of(ids, self._project),
                "client": pa.array([self.plan.client] * len(rows), pa.string()),
                "requested_at": pa.array([moment] * len(rows), pa.timestamp("us", "UTC")),
                "pin_ids": pa.ListArray.from_arrays(offsets, pins),
                "scores": pa.ListArray.from_arrays(offsets, scores),
                "degraded": pa.array([e if a is None else a.degraded for _, _, a, e in rows], pa.string()),
            }
        )
        target = path_of(self._out, piece)
        aside = target.with_name(f".{target.name}-{os.getpid()}.writing")
        pq.write_table(table, aside, compression="zstd")
        os.replace(aside, target)


def _never(client: str) -> None:
    raise AssertionError(f"the log has no room for an answer of {client}, and was written just now")
