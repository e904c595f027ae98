"""An experiment's units from the logs, by Ray Data: moments by arm. What this process holds is small.

Requests and what users did before are counted piece by piece, shuffled by a hash of the unit, and each group of units
becomes a few moments. A small log is read in this process, without Ray.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from cluster.settings.project import Project
from cluster.store.log_files import LogFiles
from cluster.store.logs import LogStore
from training.experiments.columns import UnitColumns
from training.experiments.finish import ByArm, ByLength, Finish, Finished, Pack
from training.experiments.labels import ByDay, Label
from training.experiments.nearby import NEARBY_ROWS, nearby_requests
from training.experiments.trial import TrialSettings
from training.experiments.units import DRAFTED, READ, CountBefore, CountUnits, UnitRows, joined
from training.log.index import read_index
from training.log.requests import join_logs
from training.log.tasks import LogWindow

BEFORE_DAYS = 14.0
"""Days before an experiment whose events CUPED looks at."""
BUCKETS = 64
"""Groups of units behind the shuffle, where there is one."""

Span = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class UnitsRead:
    """What the logs say of an experiment's units, or of all users by days."""

    columns: UnitColumns
    units: Finished
    notes: tuple[str, ...]


def read_trial(
    project: Project,
    logs: LogStore,
    trial: TrialSettings,
    span: Span,
    begun: np.datetime64,
    carry_over: float = 0.0,
    local_rows: int = NEARBY_ROWS,
) -> UnitsRead:
    """Units of an experiment that was first seen at `begun`. Raises DataError without requests in the span."""
    columns = UnitColumns(project.actions, drafted=trial.design == "interleaving")
    past = None if trial.design == "switchback" else before(columns, begun)
    read = Reading(columns, trial.label(carry_over), past, ByArm(), local_rows)
    return read(project, logs, trial.clients, span)


def read_days(
    project: Project,
    logs: LogStore,
    clients: Sequence[str],
    span: Span,
    lengths: Sequence[int],
    begun: np.datetime64,
    local_rows: int = NEARBY_ROWS,
) -> UnitsRead:
    """All users of some clients over the first 1, 2, … days from `begun` on: moments for each of `lengths`."""
    columns = UnitColumns(project.actions)
    read = Reading(columns, ByDay(begun), before(columns, begun), ByLength(tuple(lengths)), local_rows)
    return read(project, logs, clients, span)


def before(columns: UnitColumns, begun: np.datetime64, days: float = BEFORE_DAYS) -> CountBefore:
    """What counts events of the days before an experiment began."""
    return CountBefore(columns, begun - np.timedelta64(timedelta(days=days)), begun, BUCKETS)


@dataclass(frozen=True)
class Reading:
    """How units are counted: their columns, whose they are, their past, what becomes of them."""

    columns: UnitColumns
    label: Label
    past: CountBefore | None
    finish: Finish
    local_rows: int

    def __call__(self, project: Project, logs: LogStore, clients: Sequence[str], span: Span) -> UnitsRead:
        """Read the logs of these clients. Raises DataError without requests in the span."""
        found = logs.serving_files(None, *span)
        files = LogFiles(tuple(file for file in found.files if file.client in clients), found.unreadable)
        past = self._past_files(logs)
        if files.rows + past.rows <= self.local_rows:
            return self._here(project, logs, files, past, span)
        return self._by_workers(project, logs, clients, span, past)

    def _here(self, project: Project, logs: LogStore, files: LogFiles, past: LogFiles, span: Span) -> UnitsRead:
        since, until = (None if at is None else moment_of(at) for at in span)
        index = read_index(files, LogWindow(since, until))
        count = CountUnits(self.label, self.columns, BUCKETS)
        parts = [count.rows(table) for table in nearby_requests(project, logs, files, index, self._names)]
        if self.past is not None:
            parts += [
                UnitRows.read(table) for table in self.past(pa.table({"path": pa.array(past.paths, pa.string())}))
            ]
        units = self.finish(joined(parts, self.columns), self.columns)
        return UnitsRead(self.columns, units, tuple(note for note in (files.report(),) if note))

    def _by_workers(
        self, project: Project, logs: LogStore, clients: Sequence[str], span: Span, past: LogFiles
    ) -> UnitsRead:
        import ray.data

        join = join_logs(project, logs, clients, *span, silent_users=True, any_features=True)
        count = CountUnits(self.label, self.columns, BUCKETS)
        requests = join.requests(self._names, {name: LogWindow() for name in clients})
        rows = requests.map_batches(count, batch_format="pyarrow", batch_size=None)
        if self.past is not None and past.files:
            paths = ray.data.from_items([{"path": path} for path in past.paths])
            rows = rows.union(paths.map_batches(self.past, batch_format="pyarrow", batch_size=None))
        groups = rows.groupby("bucket", num_partitions=BUCKETS)
        packed = groups.map_groups(Pack(self.finish, self.columns).group, batch_format="pyarrow")
        found = packed.iter_batches(batch_size=None, batch_format="pyarrow")
        return UnitsRead(self.columns, Finished.added(map(Finished.read, found)), join.notes)

    @property
    def _names(self) -> tuple[str, ...]:
        return (*READ, *(DRAFTED if self.columns.drafted else ()))

    def _past_files(self, logs: LogStore) -> LogFiles:
        if self.past is None:
            return LogFiles(())
        return logs.event_files(self.past.since.astype(datetime), self.past.until.astype(datetime))


def moment_of(at: datetime) -> np.datetime64:
    """A moment of the log."""
    return np.datetime64(at if at.tzinfo is None else at.astimezone(UTC).replace(tzinfo=None), "us")
