"""A small log read in this process, without Ray: the same steps that Ray's workers run over a large one."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa

from cluster.settings.project import Project
from cluster.store.log_files import LogFiles
from cluster.store.logs import LogStore
from training.log.events import read_events
from training.log.index import RequestIndex
from training.log.tasks import Attach, Cut, Read

NEARBY_ROWS = 20_000
"""Requests and events up to which starting workers costs more than the work."""


def nearby_requests(
    project: Project, logs: LogStore, files: LogFiles, index: RequestIndex, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Requests with `columns` and `actions`, as `training.log.requests.Joined.requests` gives them."""
    first, last = index.ends
    window = timedelta(hours=project.attribution_hours)
    since, until = first - np.timedelta64(5, "m"), last + np.timedelta64(window)
    events = logs.event_files(since.astype(object), until.astype(object))
    _, _, grouped = read_events(events.paths, project.ids, window, project.actions)
    windows = dict.fromkeys((file.client for file in files.files), index.span)
    wanted = tuple(dict.fromkeys(["request_id", "client", "requested_at", "pin_id", *columns]))
    read = Read(wanted, Cut(windows, index.repeats))
    attach = Attach(project.actions, window)
    for table in read(pa.table({"path": pa.array([file.path for file in files.files], pa.string())})):
        if table.num_rows:
            yield attach.attach(table, grouped)
