"""Served requests joined with what people did: one row a request, an n x A action matrix beside its candidates.

Ray Data reads the serving log and joins. One row a request instead of one a candidate makes the join some 500 times
smaller. Events that fit in memory are sent to every reader; more of them go through `Dataset.join` (a hash shuffle).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from cluster.errors import DataError
from cluster.features.assemble import FeatureSet
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.logs import LogFiles, LogStore
from training.log.attribution import EventCounts
from training.log.events import read_events
from training.log.index import RequestIndex, read_index
from training.log.spread import LOCAL_ROWS, in_tasks, result, shared
from training.log.tasks import Attach, Cut, Read, overlaps
from training.log.tasks import LogWindow as LogWindow

BROADCAST_BYTES = 256 << 20
"""Event files beyond this are joined by a shuffle: each reader would hold a copy otherwise."""


TASK_BYTES = 64 << 20
"""Log files that one read task goes through, on clusters where that makes more tasks than two a CPU."""


@dataclass(frozen=True)
class Joined:
    """The joined log of a project: `requests(...)` makes the Ray Dataset."""

    project: Project
    index: RequestIndex
    span: LogWindow  # that the logs were read for; every window is cut to it
    counts: EventCounts | None  # None when the events went through a shuffle
    notes: tuple[str, ...]
    _events: Any = field(repr=False)  # ObjectRef of grouped events, or their files

    def requests(self, columns: Sequence[str], windows: dict[str, LogWindow]) -> Any:
        """Ray Dataset of requests of the clients in `windows`, with `columns` of the serving log and `actions`.

        `actions` is list<float32>, n*A row after row, A in the order of `project.actions`.
        """
        import ray.data

        windows = {name: window.within(self.span) for name, window in windows.items()}
        files = [f for f in self.index.files.files if f.client in windows and overlaps(f.date, windows[f.client])]
        if not files:
            raise DataError(f"the serving log has no requests of {', '.join(sorted(windows))} in the time asked for")
        wanted = list(dict.fromkeys(["request_id", "client", "requested_at", "pin_id", *columns]))
        # Not read_parquet: it starts actors that read footers, and join_logs has read those already.
        tasks = max(2 * int(ray.cluster_resources().get("CPU", 1)), sum(f.bytes for f in files) // TASK_BYTES)
        names = ray.data.from_items([{"path": f.path} for f in files], override_num_blocks=min(tasks, len(files)))
        read = Read(tuple(wanted), Cut(windows, self.index.repeats))
        dataset = names.map_batches(read, batch_format="pyarrow", batch_size=None)
        attach = Attach(self.project.actions, timedelta(hours=self.project.attribution_hours))
        if not isinstance(self._events, LogFiles):
            return dataset.map_batches(
                attach.broadcast, fn_args=(self._events,), batch_format="pyarrow", batch_size=None, zero_copy_batch=True
            )
        parts = self.project.graph.partitions
        events = ray.data.read_parquet(self._events.paths, partitioning=None)
        grouped = events.groupby("request_id", num_partitions=parts).map_groups(attach.group, batch_format="pyarrow")
        joined = dataset.join(grouped, join_type="left_outer", num_partitions=parts, on=("request_id",))
        return joined.map_batches(attach.rows, batch_format="pyarrow", batch_size=None)


def logged_clients(
    clients: Mapping[str, Client], logs: LogStore, since: datetime | None = None, until: datetime | None = None
) -> dict[str, Client]:
    """Those of `clients` that have logged requests in [since, until). Raises DataError when none has."""
    logged = {f.client for f in logs.serving_files(None, since, until).files}
    able = {name: client for name, client in clients.items() if name in logged}
    if not able:
        raise DataError("the serving log is empty for this time: serve, simulate or backfill first")
    return able


def join_logs(
    project: Project,
    logs: LogStore,
    clients: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    broadcast_bytes: int = BROADCAST_BYTES,
    silent_users: bool = False,
    local_rows: int = LOCAL_ROWS,
    any_features: bool = False,
) -> Joined:
    """Read what training needs to know of the logs before it touches a candidate: ids, times, events.

    `silent_users`: no event at all is no fault. `any_features`: logs made for other features count too, for those who
    read none. A log of up to `local_rows` rows is looked at here, a larger one by Ray's workers: what this process
    holds does not grow with the number of requests. Raises DataError when a client has no requests or its log was made
    for other features than the project's.
    """
    import ray

    files = logs.serving_files(None, since, until)
    files = LogFiles(tuple(f for f in files.files if f.client in clients), files.unreadable)
    found = len(files.files)
    files = files if any_features else files.made_with(FeatureSet.of(project.features))
    stale = found - len(files.files)
    missing = sorted(set(clients) - {f.client for f in files.files})
    if missing:
        why = " made with the present features (pinfunnel.yaml changed since?)" if stale else ""
        raise DataError(f"client {missing[0]}: no logged requests{why}: serve, simulate or backfill first")
    span = LogWindow(_moment(since), _moment(until))
    small = files.rows <= local_rows
    index = read_index(files, span, map if small else in_tasks)
    notes = [files.report()]
    if stale:
        notes.append(f"{stale} serving log file(s) of another feature schema left out")
    if index.repeated:
        notes.append(f"{index.repeated} request(s) logged twice, used once")
    window = timedelta(hours=project.attribution_hours)
    first, last = (moment.astype(datetime) for moment in index.ends)
    event_files = logs.event_files(first - timedelta(minutes=5), last + window)
    notes.append(event_files.report())
    if sum(f.bytes for f in event_files.files) > broadcast_bytes:
        return Joined(project, index, span, None, tuple(n for n in notes if n), event_files)
    told = event_files.paths, project.ids, window, project.actions
    if small and event_files.rows <= local_rows:
        counts, keys, grouped = read_events(*told)
        met = index.answered(keys)
        reference = ray.put(grouped)
    else:
        counting, keys_reference, reference = shared(read_events, *told, parts=3)
        counts = result(counting)
        met = index.answered(keys_reference, in_tasks)
    if not counts.events and not silent_users:
        raise DataError("the event log is empty for the time of these requests: nothing to learn from yet")
    return Joined(project, index, span, counts.met(*met.tolist()), tuple(n for n in notes if n), reference)


def _moment(at: datetime | None) -> np.datetime64 | None:
    if at is None:
        return None
    return np.datetime64(at if at.tzinfo is None else at.astimezone(UTC).replace(tzinfo=None), "us")
