"""One input of the data contract as batches: finds the files, maps the user's column names, casts, says what is wrong.

Knows nothing of what rows mean: which rows are dropped is `cluster.data.cleaning`'s business.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.data.casting import FIX, Fault, cast_column, parse_text
from cluster.data.files import UNREADABLE, filesystem, partition_values
from cluster.data.schema import InputColumn
from cluster.errors import DataError
from cluster.settings.project import Source

BATCH_ROWS = 1 << 18


class BadInput(DataError):
    """One fault of an input file; the text is `input: file: what: fix`. `row` counts from 0 within the file."""

    def __init__(
        self, table: str, file: str, what: str, fix: str, column: str | None = None, row: int | None = None
    ) -> None:
        where = f": column {column!r}" if column else ""
        if column and row is not None:
            where += f", row {row}"
        super().__init__(f"{table}: {file}{where}: {what}: {fix}")
        self.table = table
        self.file = file
        self.what = what
        self.fix = fix
        self.column = column
        self.row = row

    def __reduce__(self) -> Any:  # it crosses process borders
        return type(self), (self.table, self.file, self.what, self.fix, self.column, self.row)


@dataclass(frozen=True)
class Piece:
    """A row group of a file, the unit of parallel reading; `first_row` is its first row's number in the file."""

    file: str
    row_group: int
    first_row: int
    rows: int


@dataclass(frozen=True)
class Batch:
    """Rows of one file in contract columns and types; `first_row` numbers the first of them in the file, from 0."""

    file: str
    first_row: int
    table: pa.Table


@dataclass(frozen=True)
class Input:
    """One table of the contract in the user's files. Opening it reads footers only; every fault is a DataError."""

    name: str
    source: Source
    columns: tuple[InputColumn, ...]
    files: tuple[str, ...] = field(default=(), repr=False)
    given_by: str | None = None  # the option that named the files; None: the project's settings
    left_out: tuple[str, ...] = field(default=(), repr=False)  # visible files of the folder that are not Parquet

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Every row group with rows. Raises DataError for a file that is not complete Parquet or lacks a column."""
        found: list[Piece] = []
        for file in self.files:
            first = 0
            reader = self._reader(file)
            for group in range(reader.metadata.num_row_groups):
                rows = reader.metadata.row_group(group).num_rows
                if rows:
                    found.append(Piece(file, group, first, rows))
                first += rows
        return tuple(found)

    @property
    def rows(self) -> int:
        """Rows in all files, from the footers."""
        return sum(piece.rows for piece in self.pieces)

    def batches(self, pieces: Sequence[Piece] | None = None, names: Sequence[str] | None = None) -> Iterator[Batch]:
        """The rows of `pieces` (default: all), in order, as tables of at most BATCH_ROWS rows with the `names` columns.

        Optional columns that the files lack come as nulls. Raises DataError that names file, column, row and fix.
        """
        columns = [c for c in self.columns if names is None or c.name in names]
        for piece in self.pieces if pieces is None else pieces:
            reader = self._reader(piece.file)
            theirs = {c.name: self.theirs(c) for c in columns if self.theirs(c) in reader.schema_arrow.names}
            folders = partition_values(self.source.path, piece.file)
            row = piece.first_row
            try:
                for raw in reader.iter_batches(
                    BATCH_ROWS, [piece.row_group], sorted(set(theirs.values())), use_threads=False
                ):
                    arrays = [self._column(c, raw, theirs, folders, piece.file, row) for c in columns]
                    yield Batch(piece.file, row, pa.table(arrays, names=[c.name for c in columns]))
                    row += raw.num_rows
            except UNREADABLE as error:
                what = f"the rows from {row} on cannot be read ({_brief(error)})"
                raise BadInput(self.name, piece.file, what, "write the file again", row=row) from None

    def read(self, names: Sequence[str] | None = None) -> pa.Table:
        """All rows in memory."""
        tables = [batch.table for batch in self.batches(names=names)]
        return pa.concat_tables(tables) if tables else self.schema(names).empty_table()

    def schema(self, names: Sequence[str] | None = None) -> pa.Schema:
        """The schema that batches have."""
        return pa.schema([(c.name, c.type) for c in self.columns if names is None or c.name in names])

    def has(self, name: str) -> bool:
        """Whether any file holds an optional column."""
        theirs = self.theirs(next(c for c in self.columns if c.name == name))
        return any(
            theirs in partition_values(self.source.path, file) or theirs in self._reader(file).schema_arrow.names
            for file in self.files
        )

    def theirs(self, column: InputColumn) -> str:
        """The user's name of a column."""
        return self.source.columns.get(column.name, column.name)

    def _reader(self, file: str) -> pq.ParquetFile:
        system, path = filesystem(file)
        try:
            reader = pq.ParquetFile(system.open_input_file(path), pre_buffer=False, coerce_int96_timestamp_unit="us")
            names = reader.schema_arrow.names
        except UNREADABLE as error:
            if system.get_file_info(path).size == 0:
                raise BadInput(self.name, file, "the file is empty (0 bytes)", "write it again or delete it") from None
            what = f"not a complete Parquet file, it may be cut off ({_brief(error)})"
            raise BadInput(self.name, file, what, "write it again") from None
        self._check_columns(file, names)
        return reader

    def _check_columns(self, file: str, in_file: list[str]) -> None:
        present = [*in_file, *partition_values(self.source.path, file)]
        for column in self.columns:
            theirs = self.theirs(column)
            if in_file.count(theirs) > 1:
                what = f"{in_file.count(theirs)} columns are named {theirs!r}"
                raise BadInput(self.name, file, what, "give each column a name of its own", theirs)
            if theirs in present or not (column.required or column.name in self.source.columns):
                continue
            taken = {self.theirs(c) for c in self.columns}
            free = [name for name in present if name not in taken]
            near = difflib.get_close_matches(theirs, free, n=1, cutoff=0.5) or difflib.get_close_matches(
                theirs.replace("_", ""), free, n=1, cutoff=0.4
            )
            advice = f"if it is {near[0]!r}" if near else f"name yours (there are: {', '.join(present)})"
            setting = f"data.{self.name}.columns: {{{column.name}: {near[0] if near else 'YOUR_COLUMN'}}}"
            fix = f"set `{setting}` in pinfunnel.yaml"
            if self.given_by:
                fix = f"rename it ({self.given_by} takes the columns of `data.{self.name}`)"
            raise BadInput(self.name, file, f"no column {theirs!r}", f"{advice}, {fix}", theirs)

    def _column(
        self,
        column: InputColumn,
        raw: pa.RecordBatch,
        theirs: dict[str, str],
        folders: dict[str, str | None],
        file: str,
        first: int,
    ) -> pa.Array:
        if column.name not in theirs:
            return self._from_folder(column, folders, file, raw.num_rows)
        try:
            return cast_column(raw.column(theirs[column.name]), column.type)
        except Fault as fault:
            name = theirs[column.name]
            what = f"{fault.value} ({fault.found}) is not {fault.want}"
            fix = FIX[fault.want].format(column=name)
            raise BadInput(self.name, file, what, fix, name, first + fault.row) from None

    def _from_folder(self, column: InputColumn, folders: dict[str, str | None], file: str, rows: int) -> pa.Array:
        """A column that the name of a folder holds (Hive partitioning), or nulls."""
        name = self.theirs(column)
        text = folders.get(name)
        if text is None:
            return pa.nulls(rows, column.type)
        try:
            value = parse_text(text, column.type)
        except Fault as fault:
            what = f"the folder {name}={text} is not {fault.want}"
            raise BadInput(self.name, file, what, "rename it, or write the column into the files", name) from None
        return pa.repeat(value, rows)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
