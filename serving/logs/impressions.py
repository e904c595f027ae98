"""The serving-stage log: every candidate of every answer with the features that scored it, written behind the request.

Serving never waits for it: `offer` puts a row on a bounded queue and returns; a full queue drops the row and counts it.
"""

import logging
import queue
import threading
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.data.schema import serving_schema
from cluster.features.assemble import FeatureSet
from cluster.store.logs import LogStore, feature_metadata
from cluster.store.quarantine import BadRow, Quarantine, tell_apart
from serving.request.answer import Answer

log = logging.getLogger(__name__)

Row = dict[str, Any]


def log_row(answer: Answer, request_id: str, schema_hash: str, experiment: str, locale: str | None) -> dict[str, Any]:
    """One answer as a row of `serving_schema`, NumPy arrays in place of lists."""
    candidates = answer.candidates
    ranked = answer.ranked
    ask = answer.ask
    n = len(candidates.pins)
    position = np.full(n, -1, np.int16)
    position[answer.shown] = np.arange(len(answer.shown))
    explored = np.zeros(n, bool)
    explored[answer.shown] = answer.explored
    missing = np.full(n, np.nan, np.float32)
    return {
        "request_id": request_id,
        "client": ask.client,
        "user_id": ask.user_id,
        "requested_at": datetime.fromtimestamp(ask.at / 1e6, UTC),
        "experiment": experiment,
        "degraded": answer.degraded,
        "graph_version": candidates.graph_version,
        "lightweight_version": None if ranked is None else ranked.version,
        "full_version": None if answer.scored is None else answer.scored.version,
        "schema_hash": schema_hash,
        "user_locale": locale,
        "explored_rate": answer.explored_rate or None,
        "teacher_rate": None if answer.taught is None else answer.taught.rate,
        "kept_rate": None,
        "query_pin_id": candidates.query_ids,
        "query_weight": candidates.query_weight,
        "sequence_pin_id": candidates.sequence.pin_ids,
        "sequence_action": candidates.sequence.actions,
        "sequence_client": candidates.sequence.clients,
        "sequence_age_hours": candidates.sequence_age(ask.at),
        "source_name": candidates.sources.names,
        "source_budget": candidates.sources.budget,
        "pin_id": candidates.pin_ids,
        "source_rank": candidates.sources.rank.ravel(),
        "source_score": candidates.sources.score.ravel(),
        "stage": answer.stage_reached(),
        "position": position,
        "explored": explored,
        "visit_score": candidates.score,
        "lightweight_score": missing if ranked is None else ranked.scores,
        "full_score": answer.full_scores(),
        "shared_features": np.empty(0, np.float32) if ranked is None else ranked.shared,
        "candidate_features": np.empty(0, np.float32) if ranked is None else ranked.candidates.ravel(),
    }


def rows_to_table(rows: list[dict[str, Any]], ids: str, features: FeatureSet) -> pa.Table:
    """Rows as one Arrow table; nested columns are built flat, without a Python object per candidate."""
    schema = serving_schema(ids)
    columns = []
    for column in schema:
        values = [row[column.name] for row in rows]
        if pa.types.is_list(column.type):
            offsets = np.cumsum([0, *(len(v) for v in values)])
            flat = np.concatenate([np.asarray(v) for v in values]) if values else np.empty(0)
            plain = flat.tolist() if flat.dtype == object or not len(flat) else flat  # an empty one has no type
            items = pa.array(plain, column.type.value_type)
            columns.append(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items))
        else:
            columns.append(pa.array(values, column.type))
    return pa.Table.from_arrays(columns, schema=schema.with_metadata(feature_metadata(features)))


class ServingLog:
    """A queue and a thread that writes it to Parquet every `seconds`. A row that does not fit is set aside alone."""

    def __init__(self, store: LogStore, ids: str, features: FeatureSet, capacity: int = 4096, seconds: float = 2.0):
        self._store = store
        self._ids = ids
        self._features = features
        self._seconds = seconds
        self._queue: queue.Queue[Row] = queue.Queue(capacity)
        self._quarantine = Quarantine(store.root / "quarantine", "serving")
        self.dropped = 0
        self.written = 0
        self.failures = 0
        self.last_error = ""
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serving-log", daemon=True)
        self._thread.start()

    def offer(self, row: Row) -> bool:
        """Queue a row; False (and counted) when the queue is full."""
        try:
            self._queue.put_nowait(row)
        except queue.Full:
            self.dropped += 1
            return False
        return True

    def flush(self) -> int:
        """Write what is queued now; returns the number of rows. An unwritable disk keeps the rows for the next try."""
        with self._writing:
            waiting = self._taken()
            written = 0
            try:
                for key in sorted({_partition(row) for row in waiting}):  # a file each: a failed one is tried alone
                    rows = [row for row in waiting if _partition(row) == key]
                    table, bad = tell_apart(rows, lambda some: rows_to_table(some, self._ids, self._features))
                    self._set_aside(bad)
                    if len(table):
                        self._store.write_serving(table)
                    waiting = [row for row in waiting if _partition(row) != key]
                    written += len(table)
            except OSError as error:
                self.failures += 1
                self.last_error = f"{type(error).__name__}: {error}"
                for row in waiting:
                    self.offer(row)
                raise
            finally:
                self.written += written
            self.last_error = ""
            return written

    def _taken(self) -> list[Row]:
        rows = []
        while True:
            try:
                rows.append(self._queue.get_nowait())
            except queue.Empty:
                return rows

    def _set_aside(self, bad: list[BadRow]) -> None:
        if bad:
            file = self._quarantine.add(bad)
            log.error("%d requests could not be logged and lie in %s: %s", len(bad), file, bad[0].reason)

    def health(self) -> dict[str, Any]:
        """Counters for `/healthz`."""
        return {
            "written": self.written,
            "dropped": self.dropped,
            "waiting": self._queue.qsize(),
            "quarantined": self._quarantine.rows,
            "flush_failures": self.failures,
            "last_error": self.last_error,
        }

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.flush()
            except Exception:
                log.exception("the serving log could not be written; it is tried again")

    def close(self) -> None:
        """Write the rest and end the thread."""
        self._stop.set()
        self._thread.join(timeout=10)
        self.flush()


def _partition(row: Row) -> tuple[str, str]:
    """Day and client: the folder that a row goes to."""
    return str(row["requested_at"].date()), str(row["client"])
