"""The serving-stage log: every candidate of every answer with the features that scored it, written behind the request.

Serving never waits for it: `offer` puts a row on a bounded queue and returns; a full queue drops the row and counts it.
"""

import logging
import queue
import threading
import time

from cluster.control.forgotten import Forgotten
from cluster.control.logs import rows_that_stay, swept_behind
from cluster.errors import in_short
from cluster.features.assemble import FeatureSet
from cluster.store.log_parts import new_name
from cluster.store.logs import LogStore
from cluster.store.quarantine import Quarantine, tell_apart
from serving.logs.health import Backlog, LogHealth
from serving.logs.log_batch import LogBatch, Row, bytes_of
from serving.logs.log_row import log_row as log_row
from serving.logs.log_row import rows_to_table as rows_to_table
from serving.logs.spread import Spread

log = logging.getLogger(__name__)


class ServingLog:
    """A queue and a thread that writes it to Parquet every `seconds`. A row that does not fit is set aside alone."""

    def __init__(
        self,
        store: LogStore,
        ids: str,
        features: FeatureSet,
        capacity: int = 4096,
        seconds: float = 2.0,
        forgotten: Forgotten | None = None,
    ):
        """What is `forgotten` by the time that it is written is left out."""
        self._forgotten = forgotten
        self._store = store
        self._ids = ids
        self._features = features
        self._capacity = capacity
        self._seconds = seconds
        self._queue: queue.SimpleQueue[Row] = queue.SimpleQueue()
        self._batches: list[LogBatch] = []  # what left the queue and is not written
        self._taken_at = time.monotonic()
        self._bytes_in = 0
        self._bytes_out = 0
        self._quarantine = Quarantine(store.root / "quarantine", "serving")
        self.dropped = 0
        self.written = 0
        self.failures = 0
        self.last_error = ""
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serving-log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rows that are not written."""
        return self._queue.qsize() + sum(len(batch.rows) for batch in self._batches)

    def offer(self, row: Row) -> bool:
        """Queue a row; False (and counted) when the queue is full."""
        if self.waiting >= self._capacity:
            self.dropped += 1
            return False
        self._bytes_in += bytes_of(row)
        self._queue.put(row)
        return True

    def flush(self, rests: float = 0.0) -> int:
        """Write what is queued now; returns the number of rows.

        Raises OSError when the disk refuses some of them: they are kept for the next try, which leaves each once.
        `rests`: seconds that may be spent resting between a few rows and the next, so that requests are not held up.
        """
        with self._writing:
            self._batches = [*self._batches, *self._taken()]
            between = Spread(rests) if rests else None
            written = 0
            failed: Exception | None = None
            for batch in self._batches:
                try:
                    written += self._write(batch, between)
                except Exception as error:  # of the disk, mostly: rows are not given up for whatever it is
                    failed = error
            self._batches = [batch for batch in self._batches if batch.rows]
            self.written += written
            self.failures += failed is not None
            self.last_error = "" if failed is None else in_short(failed)
            if failed is not None:
                raise failed
            return written

    def _write(self, batch: LogBatch, between: Spread | None) -> int:
        with swept_behind(self._forgotten) as written:
            rows = rows_that_stay(batch.rows, self._forgotten, "requested_at")
            table, bad = tell_apart(rows, lambda some: rows_to_table(some, self._ids, self._features))
            if len(table):
                written += self._store.write_serving(table, name=batch.name, between=between)
        if bad:
            file = self._quarantine.add(bad)
            log.error("%d requests could not be logged and lie in %s: %s", len(bad), file, bad[0].reason)
        self._bytes_out += sum(map(bytes_of, batch.rows))
        batch.rows = []
        return len(table)

    def _taken(self) -> list[LogBatch]:
        rows: dict[tuple[str, str], list[Row]] = {}
        since = self._taken_at
        self._taken_at = time.monotonic()
        for _ in range(self._queue.qsize()):
            row = self._queue.get()
            rows.setdefault(_partition(row), []).append(row)
        return [LogBatch(new_name(), rows[key], since) for key in sorted(rows)]

    def health(self) -> LogHealth:
        """Counters, and what is wrong now."""
        waiting = self.waiting
        problems = []
        if self.last_error:
            problems.append(f"{waiting} requests wait for the disk: {self.last_error}")
        if waiting >= self._capacity:
            problems.append(f"requests are not logged, as {waiting} wait already")
        counters = {
            "written": self.written,
            "dropped": self.dropped,
            "waiting": waiting,
            "quarantined": self._quarantine.rows,
            "flush_failures": self.failures,
            "last_error": self.last_error,
        }
        return LogHealth(counters, tuple(problems))

    def backlog(self) -> Backlog:
        """What waits: its bytes are those of its arrays, its age is exact to a flush."""
        waiting = [batch.since for batch in self._batches if batch.rows]
        if not self._queue.empty():
            waiting.append(self._taken_at)
        oldest = time.monotonic() - min(waiting) if waiting else 0.0
        return Backlog(self.waiting, len(self.health().problems), self._bytes_in - self._bytes_out, oldest)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.flush(rests=self._seconds)
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
