"""Replayed requests in the logs: found, and taken out again to make way for a newer replay of the same history.

A replay's requests have the experiment REPLAYED and ids that begin as `id_prefix` says; so do its events' request ids.
Compaction may have merged them with served ones: files with both are written anew without them.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.data.cleaning import moment, to_us
from cluster.data.files import UNREADABLE
from cluster.store.log_parts import LogFile, read_part, write_part
from cluster.store.logs import EVENT_ROWS, ROW_GROUP_REQUESTS, LogStore
from cluster.store.paths import log_path, opened
from cluster.store.upkeep import upkeep

REPLAYED = "backfill"
Span = tuple[datetime | None, datetime | None]


def id_prefix(client: str) -> str:
    """How the request ids of a client's replay begin."""
    return f"{REPLAYED}-{client}-"


def count_replayed(logs: LogStore, client: str, span: Span = (None, None)) -> int:
    """Requests of the client in the log that a replay of times in `span` (an open end: None) has written."""
    return sum(int(pc.sum(marks).as_py() or 0) for _, marks in _files_with_replays(logs, client, span))


def drop_replayed(logs: LogStore, client: str, span: Span = (None, None)) -> int:
    """Removes those requests and their events; returns how many requests. A kill leaves some, for the next call."""
    with upkeep(logs.root):
        return _drop_replayed(logs, client, span)


def _drop_replayed(logs: LogStore, client: str, span: Span) -> int:
    dropped: set[str] = set()
    for file, marks in _files_with_replays(logs, client, span):
        table = read_part(file.path)
        dropped.update(table.filter(marks)["request_id"].to_pylist())
        _rewrite(file, table.filter(pc.invert(marks)), ROW_GROUP_REQUESTS)
    if dropped:
        gone = pa.array(sorted(dropped), pa.string())
        for file, marks in _marked(logs.event_files().files, ["request_id"], lambda t: _among(t, gone)):
            _rewrite(file, read_part(file.path).filter(pc.invert(marks)), EVENT_ROWS)
    return len(dropped)


def _files_with_replays(logs: LogStore, client: str, span: Span) -> Iterator[tuple[LogFile, pa.ChunkedArray]]:
    since, until = span

    def replayed(table: pa.Table) -> pa.ChunkedArray:
        marks = pc.starts_with(table["request_id"], id_prefix(client))
        if since is not None:
            marks = pc.and_(marks, pc.greater_equal(table["requested_at"], moment(to_us(since))))
        if until is not None:
            marks = pc.and_(marks, pc.less(table["requested_at"], moment(to_us(until))))
        return pc.fill_null(marks, False)

    return _marked(logs.serving_files(client, since, until).files, ["request_id", "requested_at"], replayed)


def _among(table: pa.Table, ids: pa.Array) -> pa.ChunkedArray:
    return pc.fill_null(pc.is_in(table["request_id"], ids), False)


def _marked(
    files: tuple[LogFile, ...], columns: list[str], marks_of: Callable[[pa.Table], pa.ChunkedArray]
) -> Iterator[tuple[LogFile, pa.ChunkedArray]]:
    for file in files:
        try:
            marks = marks_of(pq.ParquetFile(opened(file.path)).read(columns))
        except UNREADABLE:  # damaged: every reader leaves it out, and names it
            continue
        if pc.any(marks).as_py():
            yield file, marks


def _rewrite(file: LogFile, rest: pa.Table, row_group: int) -> None:
    """The file with other rows. A merged file, even an empty one, goes on standing for those that its footer names."""
    path = log_path(file.path)
    merged = path.name.startswith("compact-")
    if merged or len(rest):
        write_part(rest, path.parent, row_group, "compact" if merged else "part")
    path.unlink()
