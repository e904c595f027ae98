"""One validation under way: reads an input as far as it can be read, applies its rules, and reports what they count."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from cluster.data.cleaning import FILE, ROW, Tally
from cluster.data.reading import BadInput, Input
from cluster.errors import DataError
from cluster.progress import Progress
from cluster.settings.project import Project
from cluster.validate.fixes import fix_of
from cluster.validate.report import Finding, Report, TableReport

KEPT = ("pins", "users")
"""Inputs whose clean rows later checks look at."""

Rules = Callable[[pa.Table, Tally], pa.Table]
"""From all rows of an input to those that a build would use; whatever is dropped, changed or noted is counted."""


@dataclass(frozen=True)
class Examination:
    """What the checks of all inputs share. `now` in microseconds since 1970."""

    project: Project
    report: Report
    now: int
    progress: Progress
    clean: dict[str, pa.Table] = field(default_factory=dict, repr=False)  # what each input's rules left

    def apply(self, source: Input, rules: Rules) -> pa.Table:
        """Reads one input file by file, applies `rules` to what can be read, and fills in its part of the report."""
        mine = self.report.tables[source.name]
        tables = [_numbered(source.schema().empty_table(), 0, 0)]
        for number, file in enumerate(source.files):
            self.progress(source.name, number / len(source.files))
            for table, first_row in _readable(replace(source, files=(file,)), mine):
                tables.append(_numbered(table, number, first_row))
        mine.files = len(source.files)
        mine.rows = sum(map(len, tables))
        mine.findings += _about_files(source, mine)

        tally = Tally()
        clean = rules(pa.concat_tables(tables), tally)
        mine.used = len(clean)
        if source.name in KEPT:
            self.clean[source.name] = clean
        mine.findings += _about_rows(source, tally)
        self.progress(source.name, 1.0)
        return clean


def error_of(name: str, error: Exception) -> Finding:
    """An input's fault as a finding."""
    if isinstance(error, BadInput):
        return Finding("error", name, error.what, error.fix, error.file, error.column, error.row)
    return Finding("error", name, str(error), "see the message")


def _readable(one: Input, mine: TableReport) -> Iterator[tuple[pa.Table, int]]:
    """The batches of a one-file input with their first row; faults go to the report, one for every bad column."""
    try:
        pieces = one.pieces
    except DataError as error:
        mine.findings.append(error_of(one.name, error))
        return
    try:
        yield from ((batch.table, batch.first_row) for batch in one.batches(pieces))
    except DataError as error:
        faults = {str(error): error}
        for column in one.columns:
            try:
                for _ in one.batches(pieces, [column.name]):
                    pass
            except DataError as other:
                faults[str(other)] = other
        mine.findings += [error_of(one.name, fault) for fault in faults.values()]


def _numbered(table: pa.Table, file: int, first_row: int) -> pa.Table:
    """`table` with the number of its file and of each row in it."""
    files = np.full(len(table), file, np.int32)
    rows = np.arange(first_row, first_row + len(table))
    return table.append_column(FILE, pa.array(files)).append_column(ROW, pa.array(rows))


def _about_files(source: Input, mine: TableReport) -> Iterator[Finding]:
    if not mine.rows and not mine.errors:
        fix = "write rows"
        if source.name != "edges":
            fix = f"write rows, or leave `data.{source.name}` out of pinfunnel.yaml"
        yield Finding("error", source.name, "the files hold no rows", fix, source.source.path)
    if source.left_out:
        what = f"{len(source.left_out)} file(s) are not Parquet and not read"
        fix = "nothing to do if they are no data; else write them as Parquet"
        yield Finding("noted", source.name, what, fix, source.left_out[0], count=len(source.left_out))


def _about_rows(source: Input, tally: Tally) -> Iterator[Finding]:
    for kind, counts in (("dropped", tally.dropped), ("changed", tally.changed), ("noted", tally.noted)):
        for reason, count in counts.items():
            number, row = tally.first.get(reason, (-1, None))
            file = source.files[number] if number >= 0 else None
            yield Finding(kind, source.name, reason, fix_of(reason), file, _column(source, reason), row, count)


def _column(source: Input, reason: str) -> str | None:
    """The user's name of the column that a reason begins with."""
    word = reason.split()[0]
    return next((source.theirs(column) for column in source.columns if column.name == word), None)
