"""Checks every input of a project against the data contract and reports all that is wrong, without building anything.

The rules are those of the build (`cluster.data.reading`, `cluster.data.cleaning`, `cluster.graph.edges`): what is
counted here as dropped is what the build drops, but for edges that it prunes by topics once it has the graph
(`cluster.catalog.pruning`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.catalog.history import NOT_IN_GRAPH, REPEATED_EVENT
from cluster.data.cleaning import (
    FILE,
    ROW,
    Tally,
    clean_edges,
    clean_events,
    clean_pins,
    clean_users,
    drop,
    drop_repeats,
    moment,
    now_us,
)
from cluster.data.inputs import open_inputs_leniently
from cluster.data.reading import BadInput, Input
from cluster.errors import DataError
from cluster.graph.edges import index_edges
from cluster.graph.ids import IdMap
from cluster.progress import Progress, silent
from cluster.settings.project import Project
from cluster.validate.report import Finding, Report, TableReport

OLDEST_PLAUSIBLE_US = 631_152_000 * 10**6  # 1990-01-01
UNKNOWN_USER = "user_id is not among the users (it gets a row of its own)"
UNKNOWN_REQUEST = "request_id is not in the serving log (the event counts as history and labels nothing)"


def validate(project: Project, progress: Progress = silent) -> Report:
    """Reads all inputs and reports rows, errors and counted drops per table. Never raises for what the data holds.

    Edges are held in memory (two ids and a time each) to count duplicates; the other inputs too.
    """
    inputs, refused = open_inputs_leniently(project)
    report = Report({name: TableReport() for name in (*inputs, *refused)})
    for name, error in refused.items():
        report.tables[name].findings.append(_error(name, error))
    now = now_us()
    pin_map = None
    users = None
    if "pins" in inputs:
        pins = _checked(inputs["pins"], report, progress, lambda table, tally: clean_pins(table, now, tally))
        pin_map = None if report.tables["pins"].errors else IdMap.from_ids(pins["pin_id"])
    if "users" in inputs:
        users = _checked(inputs["users"], report, progress, lambda table, tally: clean_users(table, now, tally))[
            "user_id"
        ]
    graph_pins: IdMap | None = None
    if "edges" in inputs:
        graph_pins = _check_edges(inputs["edges"], project, pin_map, now, report, progress)
    if "events" in inputs:
        known_users = None if users is None else IdMap.from_ids(users)
        requests = logged_requests(Path(project.home) / "logs" / "serving")

        def rules(table: pa.Table, tally: Tally) -> pa.Table:
            table = clean_events(table, project.actions, now, tally)
            _note_old(table, "occurred_at", tally)
            if graph_pins is not None:
                table = drop(table, pa.array(graph_pins.index_of(table["pin_id"]) < 0), NOT_IN_GRAPH, tally)
            table = drop_repeats(table, "event_id", REPEATED_EVENT, tally)
            if known_users is not None:
                _note(table, np.asarray(known_users.index_of(table["user_id"]) < 0), UNKNOWN_USER, tally)
            asked = np.asarray(table["request_id"].is_valid())
            _note(table, asked & ~np.asarray(pc.is_in(table["request_id"], requests)), UNKNOWN_REQUEST, tally)
            return table

        _checked(inputs["events"], report, progress, rules)
    return report


def logged_requests(folder: Path) -> pa.Array:
    """Request ids of the serving log; empty without one. Files that cannot be read are left out."""
    import pyarrow.parquet as pq

    found = [pa.array([], pa.string())]
    for file in sorted(folder.rglob("*.parquet")):
        try:
            found.append(pq.read_table(file, columns=["request_id"], partitioning=None)["request_id"].combine_chunks())
        except (OSError, pa.ArrowException):
            continue
    return pa.concat_arrays([ids.cast(pa.string()) for ids in found])


def _check_edges(
    edges: Input, project: Project, pin_map: IdMap | None, now: int, report: Report, progress: Progress
) -> IdMap | None:
    """The ids of the pins that the graph would have; None when the edges could not all be read."""
    pin_ids: list[IdMap] = []

    def rules(table: pa.Table, tally: Tally) -> pa.Table:
        table = clean_edges(table, now, tally)
        _note_old(table, "saved_at", tally)
        indexed = index_edges(table, project.graph, tally, pin_map)
        pin_ids.append(IdMap.from_ids(indexed.pin_ids))
        return table.slice(0, len(indexed.pins))

    _checked(edges, report, progress, rules)
    mine = report.tables["edges"]
    if mine.rows and not mine.used and not mine.errors:
        why = "all rows were dropped for the reasons below"
        mine.findings.insert(
            0, Finding("error", "edges", f"no edge is left: {why}", "correct the rows", edges.source.path)
        )
    return None if mine.errors else pin_ids[0]


def _checked(
    source: Input, report: Report, progress: Progress, rules: Callable[[pa.Table, Tally], pa.Table]
) -> pa.Table:
    """Reads one input file by file, applies `rules` to what can be read, and fills in its part of the report."""
    mine = report.tables[source.name]
    tables = [_placed(source.schema().empty_table(), 0, 0)]
    for at, file in enumerate(source.files):
        progress(source.name, at / len(source.files))
        for part in _readable(replace(source, files=(file,)), mine):
            tables.append(_placed(part[0], at, part[1]))
    mine.files = len(source.files)
    mine.rows = sum(map(len, tables))
    if not mine.rows and not mine.errors:
        fix = (
            "write rows"
            if source.name == "edges"
            else f"write rows, or leave `data.{source.name}` out of pinfunnel.yaml"
        )
        mine.findings.append(Finding("error", source.name, "the files hold no rows", fix, source.source.path))
    if source.left_out:
        what = f"{len(source.left_out)} file(s) are not Parquet and not read"
        fix = "nothing to do if they are no data; else write them as Parquet"
        mine.findings.append(Finding("noted", source.name, what, fix, source.left_out[0], count=len(source.left_out)))
    tally = Tally()
    clean = rules(pa.concat_tables(tables), tally)
    mine.used = len(clean)
    for kind, counts in (("dropped", tally.dropped), ("changed", tally.changed), ("noted", tally.noted)):
        for what, count in counts.items():
            number, row = tally.first.get(what, (-1, None))
            place = source.files[number] if number >= 0 else None
            mine.findings.append(Finding(kind, source.name, what, _fix(what), place, _column(source, what), row, count))
    progress(source.name, 1.0)
    return clean


def _readable(one: Input, mine: TableReport) -> Iterator[tuple[pa.Table, int]]:
    """The batches of a one-file input with their first row; faults go to the report, one for every bad column."""
    try:
        pieces = one.pieces
    except DataError as error:
        mine.findings.append(_error(one.name, error))
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
        mine.findings += [_error(one.name, fault) for fault in faults.values()]


def _placed(table: pa.Table, number: int, first: int) -> pa.Table:
    rows = np.arange(first, first + len(table))
    return table.append_column(FILE, pa.array(np.full(len(table), number, np.int32))).append_column(ROW, pa.array(rows))


def _note(table: pa.Table, marks: np.ndarray, what: str, tally: Tally) -> None:
    if marks.any():
        tally.noted[what] += int(marks.sum())
        tally.met(what, table, np.flatnonzero(marks))


def _note_old(table: pa.Table, column: str, tally: Tally) -> None:
    old = np.asarray(pc.fill_null(pc.less(table[column], moment(OLDEST_PLAUSIBLE_US)), False))
    _note(table, old, f"{column} lies before 1990 (kept)", tally)


def _error(name: str, error: Exception) -> Finding:
    if isinstance(error, BadInput):
        return Finding("error", name, error.what, error.fix, error.file, error.column, error.row)
    return Finding("error", name, str(error), "see the message")


def _column(source: Input, what: str) -> str | None:
    word = what.split()[0]
    return next((source.theirs(c) for c in source.columns if c.name == word), None)


def _fix(what: str) -> str:
    return next((fix for mark, fix in _FIXES if mark in what), "leave it so, or correct the rows")


_FIXES: Sequence[tuple[str, Any]] = (
    ("is null", "fill it in, or leave it: these rows are not used"),
    ("is empty", "fill it in, or leave it: these rows are not used"),
    ("edge is there twice", "write each edge once, or leave it: one is used"),
    ("is there twice", "write each once, or leave it: the later rows are not used"),
    ("more than once", "write each once, or leave it; `updated_at` says which row is the newest"),
    ("is longer than", "shorten it: these rows are not used"),
    ("outside the years", "check the unit: the numbers may be seconds or milliseconds written as microseconds"),
    ("among the pins", "add the pins to the pins input, or leave it: these edges are not used"),
    ("among `actions`", "add the action to `actions` in pinfunnel.yaml, or leave it: these events are not used"),
    ("in the graph", "nothing to do if these pins are on no board"),
    ("in the future", "check the clock and the time zone (times are UTC)"),
    ("not a finite number", "write null where the value is missing"),
    ("before 1990", "check the unit: the numbers may be seconds that were written as microseconds"),
    ("among the users", "add them to the users input if you know their locale or interests"),
    ("serving log", "nothing to do for history from before the funnel; else look for lost serving logs"),
    ("graph.m", "set `graph.min_board_pins` and `graph.max_board_pins` in pinfunnel.yaml as you want them"),
)
