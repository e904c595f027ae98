"""add-pins: what is new or was saved just now, into the log that every server follows."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile
from apps.console import console, guarded, write_json
from apps.project import open_project
from cluster.errors import DataError, in_short

AT_ONCE = 1000
"""Rows of one entry of the log."""
SHOWN = 10
"""Refused rows that are named."""


@dataclass(frozen=True)
class NoRow:
    """What stands for a row that cannot be read."""

    reason: str


def add_pins(
    pins: Annotated[Path, typer.Argument(help="JSON lines (*.jsonl), or Parquet, with `pin_id`, `boards` and columns")],
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
) -> None:
    """Add pins that are new or were saved: a running server recommends them within a minute, without a build.

    The same as `POST /v1/pins` (docs/fresh.md), from a file. Rows that are no pins are named and left out alone.

    pinfunnel add-pins new.jsonl
    """
    with guarded():
        opened = open_project(project)
        from cluster.fresh.log import FreshLog

        log = FreshLog(opened.project)
        accepted = 0
        refused: list[str] = []
        for batch in _batches(pins):
            refused += [f"{where}: {row.reason}" for where, row in batch if isinstance(row, NoRow)]
            sound = [each for each in batch if not isinstance(each[1], NoRow)]
            kept, left_out = log.contract.read([row for _, row in sound], datetime.now(UTC))
            log.append(kept)
            accepted += len(kept)
            refused += [f"{sound[each.row][0]}: {each.reason}" for each in left_out]
        console.print(f"{accepted:,} pins added, {len(refused):,} refused", highlight=False)
        for line in refused[:SHOWN]:
            console.print(f"  {line}", highlight=False)
        write_json(out, {"accepted": accepted, "refused": refused})
        if refused and not accepted:
            raise typer.Exit(1)


def _batches(path: Path) -> Iterator[list[tuple[str, Any]]]:
    """Where each row of a file lies, and the row, AT_ONCE at a time. Raises DataError for a file that is none."""
    rows = _json_lines(path) if path.suffix in (".jsonl", ".json", ".ndjson") else _parquet(path)
    while batch := list(islice(rows, AT_ONCE)):
        yield batch


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with path.open("rb") as file:
            for at, line in enumerate(file, 1):
                if text := line.removeprefix(BOM_UTF8 if at == 1 else b"").strip():
                    yield f"line {at}", _row(text)
    except OSError as error:
        raise DataError(f"pins: {path}: cannot be read ({error}): write JSON lines in UTF-8") from None


def _row(line: bytes) -> Any:
    """What a line says; a `NoRow` for what is no JSON, of which no other line suffers."""
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return NoRow(f"no JSON ({in_short(error)}): write one object a line, in UTF-8")


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow.parquet as pq

    from cluster.data.files import UNREADABLE

    at = 0
    try:
        for batch in pq.ParquetFile(path).iter_batches(AT_ONCE):
            for row in batch.to_pylist():
                yield f"row {at}", {name: _as_json(value) for name, value in row.items()}
                at += 1
    except UNREADABLE as error:
        why = f"no complete Parquet ({in_short(error)}): write the file again, and send it again"
        if not at:
            raise DataError(f"pins: {path}: {why}") from None
        yield f"rows from {at} on", NoRow(why)


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return value
