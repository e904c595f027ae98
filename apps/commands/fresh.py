"""add-pins: what is new or was saved just now, into the log that every server follows."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile
from apps.console import console, guarded, write_json
from apps.project import open_project
from cluster.errors import DataError

AT_ONCE = 1000
"""Rows of one entry of the log."""
SHOWN = 10
"""Refused rows that are named."""


def add_pins(
    pins: Annotated[Path, typer.Argument(help="JSON lines (*.jsonl), or Parquet, with `pin_id`, `boards` and columns")],
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
) -> None:
    """Add pins that are new or were saved: a running server recommends them within a minute, without a build.

    The same as `POST /v1/pins` (docs/fresh.md), from a file. Rows that are no pins are named and left out.

    pinfunnel add-pins new.jsonl
    """
    with guarded():
        opened = open_project(project)
        from cluster.fresh.log import FreshLog

        log = FreshLog(opened.project)
        accepted = 0
        refused: list[str] = []
        for first, rows in _batches(pins):
            kept, left_out = log.contract.read(rows, datetime.now(UTC))
            log.append(kept)
            accepted += len(kept)
            refused += [f"row {first + each.row}: {each.reason}" for each in left_out]
        console.print(f"{accepted:,} pins added, {len(refused):,} refused", highlight=False)
        for line in refused[:SHOWN]:
            console.print(f"  {line}", highlight=False)
        write_json(out, {"accepted": accepted, "refused": refused})
        if refused and not accepted:
            raise typer.Exit(1)


def _batches(path: Path) -> Iterator[tuple[int, list[Any]]]:
    """The rows of a file, AT_ONCE at a time, with the number of the first. Raises DataError."""
    rows = _json_lines(path) if path.suffix in (".jsonl", ".json", ".ndjson") else _parquet(path)
    first = 0
    while batch := list(islice(rows, AT_ONCE)):
        yield first, batch
        first += len(batch)


def _json_lines(path: Path) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8") as file:
            for at, line in enumerate(file):
                if line.strip():
                    yield _row(path, at, line)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"pins: {path}: cannot be read ({error}): write JSON lines in UTF-8") from None


def _row(path: Path, at: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"pins: {path}: line {at + 1} is no JSON ({error}): write one object a line") from None


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    from cluster.data.files import UNREADABLE

    try:
        for batch in pq.ParquetFile(path).iter_batches(AT_ONCE):
            for row in batch.to_pylist():
                yield {name: _as_json(value) for name, value in row.items()}
    except UNREADABLE as error:
        raise DataError(f"pins: {path}: no complete Parquet file ({error}): write it again") from None


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return value
