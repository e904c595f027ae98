"""The rows of a drill as a table for people."""

from collections.abc import Sequence

from apps.faults.row import FaultRow
from apps.tables import Table

COLUMNS = ("asked", "errors", "degr.", "wrong", "events", "lost", "p99 ms", "normal s")


def table(rows: Sequence[FaultRow]) -> Table:
    """One line a fault; what must not be is marked."""
    made = Table(title="faults, each under load")
    made.add_column("fault")
    for name in COLUMNS:
        words = name == "errors"
        made.add_column(name, justify="left" if words else "right", no_wrap=not words)
    for row in rows:
        if row.skipped:
            made.add_row(row.fault, "", f"skipped: {row.skipped}", style="yellow")
        else:
            made.add_row(row.fault, *_cells(row), style="bold red" if row.broken else "")
    return made


def _cells(row: FaultRow) -> list[str]:
    errors = ", ".join(f"{count} x {status}" for status, count in sorted(row.errors.items())) or "0"
    back = "NEVER" if row.seconds_to_normal is None else f"{row.seconds_to_normal:.1f}"
    p99 = "" if row.p99_ms is None else f"{row.p99_ms:.0f}"
    return [str(row.requests), errors, *map(str, (row.degraded, row.wrong, row.acknowledged, row.lost)), p99, back]
