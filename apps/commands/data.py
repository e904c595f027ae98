"""validate, build-graph, add-edges, compact-logs: what lies on disk, from Parquet files to a published graph."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from apps.commands.experiment import check_all, file_of, read_file
from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile
from apps.console import console, guarded, progress_bar, write_json
from apps.project import open_project
from cluster.errors import ConfigError


def validate(
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
    allow_drops: Annotated[
        float | None, typer.Option(min=0, max=1, help="share of an input's rows that may be unusable; default: 0.05")
    ] = None,
) -> None:
    """Check every input file against the data contract (docs/data.md), without building anything.

    Names file, column, row and the fix for each fault, and counts what a build would drop. Exit code 1 on a fault.
    """
    with guarded():
        opened = open_project(project)
        from cluster.validate.validation import validate as check

        opened.check_clients()
        checked = opened.project
        if allow_drops is not None:
            data = checked.data.model_copy(update={"allow_drops": allow_drops})
            checked = checked.model_copy(update={"data": data})
        experiments = file_of(opened, project)
        if experiments.exists():
            check_all(opened, list(read_file(opened, project).values()))
        with progress_bar() as bars:
            report = check(checked, bars.at("validate"), opened.clients)
        console.print(report.text(), highlight=False, soft_wrap=True)
        write_json(out, report.as_dict())
        if not report.ok:
            raise typer.Exit(1)


def build_graph(
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
    publish: Annotated[bool, typer.Option(help="make it the one that serving walks")] = True,
) -> None:
    """Build the pin-board graph, pin and user tables from the inputs as one bundle, and publish it.

    Runs on Ray Data, one partition of edges at a time. A running server swaps to it by itself.
    """
    from cluster import kinds, session

    with guarded():
        opened = open_project(project)
        from cluster.data.inputs import open_inputs

        open_inputs(opened.project)
        opened.check_clients()
        from cluster.catalog.build import build_catalog

        with session.session(dashboard=False), progress_bar() as bars:
            began = time.perf_counter()
            store = opened.new_process().store
            version = build_catalog(opened.project, store, publish, progress=bars.at("build graph"))
            held = store.standings.held(kinds.GRAPH)
        meta = store.open(kinds.GRAPH, version, verify=False).meta
        console.print(f"graph {version}: " + ", ".join(f"{n:,} {what}" for what, n in meta["counts"].items()))
        _print_drops(meta["drops"])
        if publish and held is not None:
            console.print(f"stored, not published: the graph is held {held.text()}", highlight=False, soft_wrap=True)
        write_json(out, {"version": version, **meta, "seconds": time.perf_counter() - began})


def add_edges(
    edges: Annotated[
        str | None, typer.Option("--edges", help="Parquet file or folder, in the columns of `data.edges`")
    ] = None,
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
    publish: Annotated[bool, typer.Option(help="make it the one that serving walks")] = True,
) -> None:
    """Add new edges, a day's say, to the published graph as a new bundle, and publish it. Needs no Ray.

    Rows are checked and cleaned as by build-graph; edges that are there already count once. Pin and user tables are
    written anew from the project's inputs, so list new pins there first. A running server swaps to it by itself.

    What came by `add-pins` or over HTTP is merged with them, or alone where no file is given (docs/fresh.md).

    pinfunnel add-edges --edges lake/edges/day=2026-01-31
    """
    with guarded():
        opened = open_project(project)
        began = time.perf_counter()
        from cluster.catalog.merge import merge_edges
        from cluster.fresh.log import FreshLog

        log = FreshLog(opened.project)
        fresh = log.rows() if log.entries() else None
        if edges is None and fresh is None:
            raise ConfigError("there is nothing to add: give --edges, or pins first (`pinfunnel add-pins`)")
        with progress_bar() as bars:
            report = bars.at("add edges")
            tables = None if fresh is None else (fresh.pins, fresh.edges)
            merged = merge_edges(opened.project, opened.new_process().store, edges, publish, report, tables)
        console.print(f"graph {merged.version}: " + ", ".join(f"{n:,} {what}" for what, n in merged.counts.items()))
        console.print("  added: " + ", ".join(f"{n:,} {what}" for what, n in merged.added.items()), highlight=False)
        _print_drops(merged.drops)
        write_json(out, {**asdict(merged), "seconds": time.perf_counter() - began})


def _print_drops(drops: dict[str, Any]) -> None:
    from cluster.catalog.nodes import ON_NO_BOARD

    for name, counts in drops.items():
        for what, rows in counts.get("dropped", {}).items():
            console.print(f"  {name}: {rows:,} rows dropped: {what}", highlight=False)
    if unreachable := drops.get("pins", {}).get("noted", {}).get(ON_NO_BOARD):
        console.print(f"  {unreachable:,} {ON_NO_BOARD}", highlight=False)


def compact_logs(
    project: ProjectFile = DEFAULT_PROJECT,
    keep_hours: Annotated[
        float, typer.Option(min=0, help="how long replaced files stay for jobs that read them")
    ] = 1.0,
    out: JsonFile = None,
) -> None:
    """Merge the many small files of the serving and event logs, each row once. For a nightly job; serving may go on.

    Days that are older than `logs.keep_days` are removed first, and what an old backup brought back of users who were
    forgotten. The others are done one by one. A merged file names those it replaces, so a kill at any moment leaves
    every row once.
    """
    with guarded():
        from cluster.control.logs import sweep_logs
        from cluster.store.retention import expire
        from cluster.store.upkeep import upkeep

        opened = open_project(project)
        process = opened.new_process()
        logs = process.logs
        keep_days = opened.project.logs.keep_days
        expired = expire(logs.root, keep_days, parts=logs.parts) if keep_days is not None and logs.begun() else 0
        if logs.begun():
            with upkeep(logs.root):
                sweep_logs(logs.root, process.forgotten, logs.parts)
        days = sorted({*logs.dates("serving"), *logs.dates("events")})
        done = {"merged": 0, "written": 0, "removed": 0, "expired": expired}
        with progress_bar() as bars:
            report = bars.at("compact")
            for at, day in enumerate(days):
                report(day, at / len(days))
                for what, count in logs.compact(day, grace_seconds=3600.0 * keep_hours).items():
                    done[what] += count
        console.print(
            f"{len(days)} days: {done['merged']:,} files merged into {done['written']:,}, {done['removed']:,} removed, "
            f"{expired:,} were older than they may be kept"
        )
        write_json(out, done)
