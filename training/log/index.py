"""What training knows of the requests of a log before it touches a candidate: their times, and which are repeats.

The files of one client and date are one part. Parts are looked at one after another, or by Ray's workers; what they
tell is small, so that no process holds an id for each request. A row that was logged twice has the same time and
client both times, and so lies twice in one part: repeats are looked for there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import DataError
from cluster.hashing import hash_ids
from cluster.store.log_files import LogFiles
from cluster.store.log_parts import LogFile, readable_batches
from cluster.store.repeats import suspects
from training.log.attribution import EventKeys, as_datetime64
from training.log.moments import Moments
from training.log.tasks import LogWindow, bounds, first_met

BATCH_ROWS = 1 << 16

Each = Callable[..., Iterable]  # type: ignore[type-arg]
"""`map`, or what does the same elsewhere: a function over the elements of some sequences."""


@dataclass(frozen=True)
class LogPart:
    """The files of one client and date, and the time that is asked for."""

    files: tuple[LogFile, ...]
    span: LogWindow

    @property
    def rows(self) -> int:
        """Requests in the files, repeats and other times too."""
        return sum(file.rows for file in self.files)

    def repeats(self) -> dict[str, np.ndarray]:
        """Path → int64 rows, ascending, whose request stands in an earlier row of the part already."""
        again = suspects(lambda: (batch.column("request_id") for _, _, batch in self._batches()), self.rows)
        seen: set[str | None] = set()
        out: dict[str, list[int]] = {}
        for path, first_row, batch in self._batches() if len(again) else ():
            ids = batch.column("request_id")
            for row in np.flatnonzero(np.isin(hash_ids(ids), again)).tolist():
                if (one := ids[row].as_py()) in seen:
                    out.setdefault(path, []).append(first_row + row)
                seen.add(one)
        return {path: np.array(rows, np.int64) for path, rows in out.items()}

    def moments(self, repeats: Mapping[str, np.ndarray]) -> dict[str, Moments]:
        """Times of the requests by client, each once."""
        out: dict[str, Moments] = {}
        for rows, at in self._kept(repeats):
            client = rows.column("client")
            for name in client.drop_null().unique().to_pylist():
                of = Moments.of(at[pc.fill_null(pc.equal(client, name), False).to_numpy(zero_copy_only=False)])
                out[name] = Moments.merged([out[name], of]) if name in out else of
        return out

    def answered(self, repeats: Mapping[str, np.ndarray], events: EventKeys) -> np.ndarray:
        """int64[3]: how many of the events come to its requests in time, how many too early, how many too late."""
        total = np.zeros(3, np.int64)
        for rows, at in self._kept(repeats):
            total += events.of_requests(rows.column("request_id"), at)
        return total

    def _kept(self, repeats: Mapping[str, np.ndarray]) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        """The requests that count, some thousand at a time, and their times, datetime64[us]."""
        low, high = bounds(self.span)
        for path, first_row, batch in self._batches():
            at = as_datetime64(batch.column("requested_at"))
            keep = (at >= low) & (at < high) & first_met(repeats, path, first_row, len(at))
            yield batch.filter(pa.array(keep)), at[keep]

    def _batches(self) -> Iterator[tuple[str, int, pa.RecordBatch]]:
        """(path, first row, rows) of all requests; of a damaged file those before the damage, as what trains reads."""
        for file in self.files:
            row = 0
            for batch in readable_batches(file.path, BATCH_ROWS, ["request_id", "client", "requested_at"]):
                yield file.path, row, batch
                row += batch.num_rows


@dataclass(frozen=True)
class RequestIndex:
    """The requests that training may use: how many, when, and which rows of the files repeat one of before."""

    files: LogFiles
    moments: Mapping[str, Moments] = field(repr=False)  # by client
    repeats: Mapping[str, np.ndarray] = field(repr=False)  # path → rows that do not count: int64, ascending
    span: LogWindow

    @property
    def repeated(self) -> int:
        """Requests logged more than once; the first file wins."""
        return sum(map(len, self.repeats.values()))

    @property
    def requests(self) -> int:
        """Of all clients, each once."""
        return sum(map(len, self.moments.values()))

    @property
    def ends(self) -> tuple[np.datetime64, np.datetime64]:
        """The first and the last moment of all."""
        some = [moments for moments in self.moments.values() if len(moments)]
        return min(moments.first[0] for moments in some), max(moments.last[-1] for moments in some)

    def times(self, client: str) -> Moments:
        """Those of one client's requests."""
        return self.moments.get(client, Moments())

    def answered(self, events: EventKeys, each: Each = map) -> np.ndarray:
        """As `LogPart.answered`, of all requests."""
        parts = parts_of(self.files, self.span)
        mine = [{f.path: self.repeats[f.path] for f in part.files if f.path in self.repeats} for part in parts]
        return np.sum([np.zeros(3, np.int64), *each(LogPart.answered, parts, mine, [events] * len(parts))], axis=0)


def read_index(files: LogFiles, span: LogWindow, each: Each = map) -> RequestIndex:
    """What is to be known of all requests of `files` within `span`. Raises DataError when there is none.

    `each` runs a function over the parts.
    """
    moments: dict[str, Moments] = {}
    repeats: dict[str, np.ndarray] = {}
    for part, again in each(_look_at, parts_of(files, span)):
        repeats |= again
        for name, some in part.items():
            moments[name] = Moments.merged([moments[name], some]) if name in moments else some
    if not any(map(len, moments.values())):
        raise DataError("the serving log has no requests in the time asked for that can be read")
    return RequestIndex(files, moments, repeats, span)


def _look_at(part: LogPart) -> tuple[dict[str, Moments], dict[str, np.ndarray]]:
    repeats = part.repeats()
    return part.moments(repeats), repeats


def parts_of(files: LogFiles, span: LogWindow) -> list[LogPart]:
    """The parts of the files, in their order."""
    found: dict[tuple[str, str], list[LogFile]] = {}
    for file in files.files:
        found.setdefault((file.date, file.client), []).append(file)
    return [LogPart(tuple(some), span) for some in found.values()]
