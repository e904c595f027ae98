"""A first, cheap look into the serving log for one experiment: how many requests of which arm, when first and last.

Reads three columns, part by part; what it tells is small.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from cluster.store.log_files import LogFiles
from cluster.store.log_parts import readable_batches
from cluster.store.logs import LogStore
from training.experiments.labels import plain
from training.log.attribution import as_datetime64
from training.log.index import BATCH_ROWS, Each, LogPart, parts_of
from training.log.tasks import LogWindow

COLUMNS = ("client", "requested_at", "exposure")
NEVER = np.datetime64("NaT", "us")


@dataclass(frozen=True)
class Exposures:
    """Of each experiment that a log names."""

    requests: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # experiment → arm → logged requests
    first: Mapping[str, np.datetime64] = field(default_factory=dict)
    last: Mapping[str, np.datetime64] = field(default_factory=dict)
    begins: np.datetime64 = NEVER  # of all requests that were looked at
    ends: np.datetime64 = NEVER
    rows: int = 0
    silent: int = 0  # requests in files that lack the column

    def __add__(self, other: "Exposures") -> "Exposures":
        names = [*dict.fromkeys((*self.requests, *other.requests))]
        return Exposures(
            {n: dict(Counter(self.requests.get(n, {})) + Counter(other.requests.get(n, {}))) for n in names},
            {n: np.fmin(self.first.get(n, NEVER), other.first.get(n, NEVER)) for n in names},
            {n: np.fmax(self.last.get(n, NEVER), other.last.get(n, NEVER)) for n in names},
            np.fmin(self.begins, other.begins),
            np.fmax(self.ends, other.ends),
            self.rows + other.rows,
            self.silent + other.silent,
        )


def look(
    logs: LogStore,
    clients: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    each: Each = map,
) -> Exposures:
    """What the serving log of these clients says, by whole days of `since` and `until`. `each` runs over its parts."""
    files = logs.serving_files(None, since, until)
    mine = LogFiles(tuple(file for file in files.files if file.client in clients), files.unreadable)
    out = Exposures()
    for part in each(look_at, parts_of(mine, LogWindow())):
        out = out + part
    return out


def look_at(part: LogPart) -> Exposures:
    """Of one part."""
    out = Exposures()
    for batch in _batches(part):
        at = as_datetime64(batch.column("requested_at"))
        if not len(at):
            continue
        seen = Exposures(begins=at.min(), ends=at.max(), rows=len(at))
        if "exposure" not in batch.schema.names:
            out = out + seen + Exposures(silent=len(at))
            continue
        out = out + seen + _named(batch, at)
    return out


def _named(batch: pa.RecordBatch, at: np.ndarray) -> Exposures:
    column = plain(pa.table({"exposure": batch.column("exposure")}).column("exposure"))
    told = np.asarray(column.flatten().to_pylist(), dtype=object)
    if not len(told):
        return Exposures()
    names, code, count = np.unique(told.astype(str), return_inverse=True, return_counts=True)
    row = pa.compute.list_parent_indices(column).to_numpy(zero_copy_only=False)
    out = Exposures()
    for number, name in enumerate(names.tolist()):
        experiment, _, arm = name.partition("/")
        when = at[row[code == number]]
        out = out + Exposures(
            {experiment: {arm: int(count[number])}}, {experiment: when.min()}, {experiment: when.max()}
        )
    return out


def _batches(part: LogPart) -> Iterator[pa.RecordBatch]:
    for file in part.files:
        yield from readable_batches(file.path, BATCH_ROWS, COLUMNS)
