"""What is printed is printed as it is, and files and pipes get lines instead of bars."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from apps import console as shared
from apps.console import Bars, guarded
from cluster.errors import DataError

ODD = "edges: lake/a[x].parquet: column 'at', row 3: timestamp[ns] [/] [bold]"


def test_an_error_keeps_its_brackets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "errors", Console(stderr=True, markup=False))
    with pytest.raises(Exception, match="1"), guarded():
        raise DataError(ODD)
    assert capsys.readouterr().err == f"error: {ODD}\n"


def test_lines_and_tables_keep_their_brackets() -> None:
    shared.console.record = True
    try:
        table = Table(title="of [x]")
        table.add_column("id [y]")
        table.add_row("a[/z]")
        shared.console.print(ODD, soft_wrap=True)
        shared.console.print(table)
        text = shared.console.export_text()
    finally:
        shared.console.record = False
    assert all(part in text for part in (ODD, "of [x]", "id [y]", "a[/z]"))


def lines_of(reports: list[tuple[float, str, float]]) -> list[str]:
    """What a pipe receives when steps report (time in seconds, step, share done)."""
    out, now = io.StringIO(), [0.0]
    bars = Bars(Progress(console=Console(file=out, width=80, markup=False), disable=True), clock=lambda: now[0])
    report = bars.at("build")
    for at, step, share in reports:
        now[0] = at
        report(step, share)
    return out.getvalue().splitlines()


def test_a_pipe_gets_one_line_for_a_finished_step() -> None:
    quick = [(0.001 * i, "read", i / 1000) for i in range(1001)]
    assert lines_of([*quick, (1.1, "read", 1.0), (1.2, "read", 1.0)]) == ["build: read: done"]


def test_a_long_step_says_now_and_then_how_far_it_is() -> None:
    slow = [(float(i), "read [x]", i / 100) for i in range(100)]
    assert lines_of(slow) == ["build: read [x]: 30 %", "build: read [x]: 60 %", "build: read [x]: 90 %"]


def test_a_pipe_is_told_count_rate_and_time_left() -> None:
    out, now = io.StringIO(), [0.0]
    bars = Bars(Progress(console=Console(file=out, width=80, markup=False), disable=True), clock=lambda: now[0])
    report = bars.count("backfill homefeed", "moments")
    for second in range(31):
        now[0] = float(second)
        report(2_000 + 400 * second, 110_000)
    now[0] = 40.0
    report(110_000, 110_000)
    assert out.getvalue().splitlines() == [
        "backfill homefeed: 2,000 of 110,000 moments",  # from an earlier run: they say nothing of the rate
        "backfill homefeed: 6,000 of 110,000 moments, 400/s, 4 min left",
        "backfill homefeed: 10,000 of 110,000 moments, 400/s, 4 min left",
        "backfill homefeed: 14,000 of 110,000 moments, 400/s, 4 min left",
        "backfill homefeed: 110,000 of 110,000 moments, 2,700/s",
    ]
