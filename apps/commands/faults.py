"""faults: breaks a running server in every way that is known, under load, and counts what its users would have seen."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from apps.commands.options import JsonFile
from apps.console import console, guarded, quiet, write_json


def faults(
    only: Annotated[list[str] | None, typer.Option(help="make this fault only; may be given several times")] = None,
    short: Annotated[bool, typer.Option(help="a few faults on one server: for CI")] = False,
    listed: Annotated[bool, typer.Option("--list", help="name the faults, and make none")] = False,
    rate: Annotated[
        float, typer.Option(min=0.5, help="recommendations a second, and as many requests with events")
    ] = 3.0,
    kills: Annotated[int, typer.Option(min=0, help="times that a writer of events is killed")] = 100,
    minutes: Annotated[
        float, typer.Option(min=0.5, help="begin no further fault after so long; those left are named as skipped")
    ] = 15.0,
    out: JsonFile = None,
) -> None:
    """Break a server under load: kill and hang its processes, damage bundles and logs, fill its disk, move its clock.

    Each server is started as `pinfunnel serve`, on a small site of its own. A constant load asks for recommendations
    and sends events, and every answer is checked. For each fault a row says how many requests failed (by status) or
    were degraded, how many answers were wrong or of mixed versions, how many acknowledged events the log does not hold
    (by id), the p99 meanwhile, and after how many seconds all was normal again. The small disk needs root.

    [bold]Exit code 1[/]: an answer was wrong, an acknowledged event was lost, or something never became normal again.

    One fault: [bold]pinfunnel faults --only kill-events[/]. Columns and figures: docs/operations.md.
    """
    from apps.faults.catalogue import all_faults, chosen
    from apps.faults.drill import Drill
    from apps.faults.table import table
    from apps.faults.writer import NAME, about, kill_often

    if listed:
        for name, what in [*((fault.name, fault.about) for fault in all_faults()), (NAME, about(kills))]:
            console.print(f"{name:<24}{what}", highlight=False, soft_wrap=True)
        return
    with guarded(), tempfile.TemporaryDirectory(prefix="pinfunnel-faults-") as scratch:
        quiet()
        made = chosen(only or [], short)
        rows = []
        if not only or NAME in only:
            rows.append(kill_often(Path(scratch) / "writer", min(kills, 25) if short else kills, console.print))
        rows += Drill(Path(scratch) / "site", made, rate, minutes, console.print).run()
        console.print(table(rows))
        write_json(out, {"rows": [row.as_json() for row in rows]})
        broken = [row.fault for row in rows if row.broken]
        if broken:
            console.print(f"not as it must be: {', '.join(broken)}", style="bold red")
            raise typer.Exit(1)
