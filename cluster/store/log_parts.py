"""Single files of the logs: written whole or not at all, merged without repeats. Knows nothing of dates and clients."""

import io
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.data.files import UNREADABLE
from cluster.hashing import hash_ids
from cluster.store.disk import fsync, make_folders
from cluster.store.packed import PACKED, packed, packed_schema, unpacked, unpacked_schema
from cluster.store.paths import LogPath, ObjectPath, log_path, opened
from cluster.store.repeats import suspects
from cluster.store.replaced import REPLACES_KEY, names_in

log = logging.getLogger(__name__)

FAST = 1
"""zstd's level for what replicas write."""
SMALL = 3
"""For what compaction merges."""


@dataclass(frozen=True)
class LogFile:
    """One readable part. `client` is empty for events, `schema_hash` too."""

    path: str
    rows: int
    bytes: int
    date: str
    client: str = ""
    schema_hash: str = ""


def readable_batches(path: str, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a part, at most `rows` in a batch. From a damaged page on they are left out, named in a warning.

    Raises FileNotFoundError, which is no damage.
    """
    try:
        for batch in _parquet(path).iter_batches(rows, columns=None if columns is None else list(columns)):
            yield unpacked(batch)
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        log.warning("skipped the rest of the damaged log file %s: %s", path, str(error).splitlines()[0])


def _parquet(path: str | LogPath) -> pq.ParquetFile:
    return pq.ParquetFile(opened(path))


def read_part(path: str | LogPath) -> pa.Table:
    """A whole part. Raises OSError or ArrowException for a damaged one."""
    file = _parquet(path)
    return pa.Table.from_batches(map(unpacked, file.iter_batches()), unpacked_schema(file.schema_arrow))


def whole_parts(paths: Iterable[str]) -> Iterator[pa.Table]:
    """The parts that can be read whole. A damaged one is named in a warning, and left out."""
    for path in paths:
        try:
            yield read_part(path)
        except FileNotFoundError:  # compaction removed it since the listing
            continue
        except UNREADABLE as error:
            log.warning("skipped the damaged log file %s: %s", path, str(error).splitlines()[0])


def is_whole(path: str) -> bool:
    """Whether every page of a part can be read; a damaged part is named in a warning."""
    expected = pq.read_metadata(opened(path)).num_rows
    return sum(batch.num_rows for batch in readable_batches(path, 1 << 12)) == expected


REQUEST_KEY = ("request_id",)
EVENT_KEY = ("event_id", "user_id")
"""What tells events apart: writers of different users do not know each other's ids."""


def first_of_each(table: pa.Table, key: Sequence[str]) -> pa.Table:
    """The first row of each value of the key's columns; rows that have none in its first column are all kept."""
    if key[0] not in table.column_names or not len(table):
        return table
    keys = table.select(list(key)).to_pandas()
    keep = ~(keys.duplicated() & keys[key[0]].notna())
    return table if keep.all() else table.filter(pa.array(keep.to_numpy()))


def each_once(parts: Iterable[pa.Table], key: Sequence[str]) -> tuple[pa.Table, int]:
    """The rows of some tables, each value of the key once, and how many repeats were dropped."""
    tables = list(parts)
    if not tables:
        return pa.table({}), 0
    table = pa.concat_tables(tables, promote_options="default")
    unique = first_of_each(table, key)
    return unique, table.num_rows - unique.num_rows


@dataclass(frozen=True)
class MergedFiles:
    """The rows of several files, streamed, each id once."""

    files: Sequence[LogFile]

    @property
    def schema(self) -> pa.Schema:
        """Columns of all files together; the metadata names the files that the merged one stands for."""
        # an older file may lack a column that a newer version logs
        schemas = [unpacked_schema(pq.read_schema(opened(f.path))) for f in self.files]
        schema = pa.unify_schemas([each.remove_metadata() for each in schemas])
        schema = schema.with_metadata(pq.read_schema(opened(self.files[0].path)).metadata)
        names = {log_path(f.path).name for f in self.files}
        for file in self.files:  # what a merged file stood for must not come back when that file goes
            names |= {n for n in names_in(file.path) if (log_path(file.path).parent / n).exists()}
        return schema.with_metadata({**(schema.metadata or {}), REPLACES_KEY: json.dumps(sorted(names)).encode()})

    def batches(self, rows: int) -> Iterator[pa.Table]:
        """The rows in file order, at most `rows` in a table."""
        schema = self.schema
        key = REQUEST_KEY if self.files[0].client else EVENT_KEY
        again = suspects(lambda: self._column(key[0]), sum(f.rows for f in self.files))
        seen: set[tuple[Any, ...]] = set()
        for file in self.files:
            for batch in _parquet(file.path).iter_batches(batch_size=rows):
                part = pa.Table.from_batches([unpacked(batch)])
                fresh = np.ones(len(part), bool)
                for row in np.flatnonzero(np.isin(hash_ids(part.column(key[0])), again)).tolist():
                    known = tuple(part.column(name)[row].as_py() for name in key)
                    fresh[row] = known[0] is None or known not in seen
                    seen.add(known)
                part = part.filter(pa.array(fresh))
                for column in set(schema.names) - set(part.column_names):
                    part = part.append_column(column, pa.nulls(part.num_rows, schema.field(column).type))
                yield part.select(schema.names).cast(schema)

    def _column(self, name: str) -> Iterator[pa.Array]:
        """Values of all files, some thousand at a time."""
        for file in self.files:
            yield from (batch.column(0) for batch in _parquet(file.path).iter_batches(columns=[name]))


def new_name() -> str:
    """A name that no other file has; names sort by the time they were made."""
    return f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"


def write_part(
    rows: pa.Table | MergedFiles,
    folder: LogPath,
    row_group: int,
    prefix: str = "part",
    name: str | None = None,
    between: Callable[[], None] | None = None,
) -> LogPath:
    """One Parquet file in `folder`, visible only when it is whole and on disk.

    A new one; or, with a `name`, it replaces the file that was written under that name before. A merged file is
    compressed well, as it stays; another one fast, as requests wait for the core that does it.
    """
    target = folder / f"{prefix}-{name or new_name()}.parquet"
    parts: Iterable[pa.Table] = _slices(rows, row_group) if isinstance(rows, pa.Table) else rows.batches(row_group)
    schema = packed_schema(rows.schema)
    level = FAST if isinstance(rows, pa.Table) else SMALL
    with (
        _whole(target) as sink,
        pq.ParquetWriter(
            sink, schema, compression="zstd", compression_level=level, use_dictionary=_worth_a_dictionary(schema)
        ) as writer,
    ):
        for part in parts:
            writer.write_table(packed(part), row_group_size=row_group)
            if between is not None:
                between()
    return target


@contextmanager
def _whole(target: LogPath) -> Iterator[Any]:
    """What a file is written to; on a clean exit it appears under its name. Before an object it is in memory."""
    if isinstance(target, ObjectPath):
        buffer = io.BytesIO()
        yield buffer
        target.write(buffer.getvalue())
        return
    folder = Path(str(target.parent))
    make_folders(folder)
    aside = folder / f".{new_name()}.writing"
    try:
        yield aside
        fsync(aside)
        os.rename(aside, str(target))
        fsync(folder)
    finally:
        aside.unlink(missing_ok=True)


def _slices(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    return (table.slice(at, rows) for at in range(0, len(table), rows))


def _worth_a_dictionary(schema: pa.Schema) -> list[str]:
    """Paths of all columns but lists of floats: scores and features rarely repeat, and zstd does better without."""
    names = []
    for field in schema:
        if field.name in PACKED:
            continue
        if not pa.types.is_list(field.type):
            names.append(field.name)
        elif not pa.types.is_floating(field.type.value_type):
            names.append(f"{field.name}.list.{field.type.value_field.name}")
    return names


def groups(files: list[LogFile], target_bytes: int) -> Iterator[list[LogFile]]:
    """Runs of at least two files of one feature schema, up to `target_bytes` each."""
    group: list[LogFile] = []
    for file in sorted(files, key=lambda f: (f.schema_hash, f.path)):
        full = sum(f.bytes for f in group) + file.bytes > target_bytes
        if group and (full or file.schema_hash != group[0].schema_hash):
            if len(group) > 1:
                yield group
            group = []
        group.append(file)
    if len(group) > 1:
        yield group
