"""evaluate sources: each source of candidates, and all together, on replayed, held-out time, or in the serving log."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from apps.commands.options import (
    DEFAULT_PROJECT,
    ClientName,
    HtmlFile,
    JsonFile,
    ProjectFile,
    Seed,
    Since,
    Until,
    moment,
)
from apps.console import console, guarded, progress_bar, write_json
from apps.project import Opened, open_project, pick_clients
from apps.tables import Table
from cluster.errors import ConfigError
from cluster.settings.clients import Client

Span = tuple[datetime | None, datetime | None]
OF_LOGS = {"project", "client", "since", "until", "log", "out", "html"}
"""Options that --log knows."""


def evaluate_sources(
    context: typer.Context,
    project: ProjectFile = DEFAULT_PROJECT,
    client: ClientName = None,
    source: Annotated[
        list[str] | None, typer.Option(help="a source to look at; may be repeated. Default: those of the client's file")
    ] = None,
    budget: Annotated[int, typer.Option(min=1, max=20_000, help="pins that each is asked for")] = 500,
    since: Since = None,
    until: Until = None,
    every: Annotated[int, typer.Option(min=1, help="one request for every so many actions of a user")] = 10,
    graphs: Annotated[int, typer.Option(min=1, help="how often the graph is rebuilt as time goes on")] = 4,
    min_history: Annotated[int, typer.Option(min=0, help="actions a user must have had before the first request")] = 3,
    new_below: Annotated[int, typer.Option(min=1, help="a user with fewer known actions is new")] = 10,
    cold_below: Annotated[int, typer.Option(min=1, help="a pin on fewer boards is cold")] = 5,
    seed: Seed = 0,
    log: Annotated[bool, typer.Option("--log", help="count in the serving log instead, see above")] = False,
    out: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Recall of each source and of their union at equal candidates, what each alone found, overlap, and cost.

    Past moments from --since on (default: the last fifth of `data.events`) are put to every source with what was known
    then; what the user did next was to be found. --source looks at any that ships, whether the client has it or not.
    Recall of each also for new users, locales, cold pins and pins on no board. --min-history 0 asks for users without
    any action, too. Needs `data.events`, and `saved_at` on edges.

    --log asks nothing again, but counts what was served: of each source's candidates, those that it alone found, that
    survived the lightweight stage, that the ranking chose, that were answered, and acted on.
    """
    with guarded():
        span = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        clients = pick_clients(opened, client)
        if log:
            check_options(context)
            count_sources(opened, clients, span, out, html)
            return
        from apps.backfill.moment import ReplayPlan
        from apps.backfill.replay import Replay
        from apps.reports.sources import evaluate_sources as evaluate
        from apps.reports.sources import with_sources
        from apps.reports.sources_html import write_sources
        from apps.reports.stages_segments import Segments

        reports: dict[str, dict[str, Any]] = {}
        notes = []
        for name, settings in clients.items():
            if settings.query.source == "request":
                notes.append(f"{name}: left out, its candidates start from the request's own query pins")
                continue
            replay = Replay(with_sources(opened, name, tuple(source or ()), budget))
            begin = span[0] or replay.moment(0.8)
            plan = ReplayPlan(graphs, every, min_history, opened.project.attribution_hours, begin, span[1], seed)
            with progress_bar() as bars:
                found = evaluate(replay, name, plan, budget, Segments(new_below, cold_below), bars.at(name))
            if not found.users:
                notes.append(f"{name}: no user went on to act on a new pin in this time")
                continue
            reports[name] = found.report()
            _show(name, reports[name])
        for note in notes:
            console.print(note, highlight=False)
        write_json(out, reports)
        if html is not None:
            console.print(f"report: {write_sources(reports, html, notes)}", highlight=False)


def check_options(context: typer.Context) -> None:
    """Raises ConfigError for an option that asks past moments again, given beside --log."""
    for name in context.params:
        given = context.get_parameter_source(name)
        if name not in OF_LOGS and given is not None and given.name == "COMMANDLINE":
            raise ConfigError(f"--{name.replace('_', '-')}: asks past moments again; --log counts what was served")


def count_sources(opened: Opened, clients: dict[str, Client], span: Span, out: Path | None, html: Path | None) -> None:
    """Pass-through by source, from the serving log."""
    from apps.reports.pass_through import pass_through_tables, remarks, write_pass_through
    from cluster import session
    from training.report.pass_through import pass_through

    with session.session(dashboard=False):
        reports = pass_through(opened.project, clients, opened.new_process().logs, *span)
    for name, report in reports.items():
        for table in pass_through_tables(name, report):
            console.print(table)
        for line in remarks(name, report):
            console.print(line, highlight=False)
    write_json(out, reports)
    if html is not None:
        console.print(f"report: {write_pass_through(reports, html)}", highlight=False)


def _show(client: str, report: dict[str, Any]) -> None:
    from training.report.sources import HEAD

    table = Table(title=f"{client}: {report['requests']:,} requests of {report['users']:,} users")
    for heading in ("source", "recall@25", "recall@100", "recall@500", "lost without it", "ms"):
        table.add_column(heading)
    for name, recall in report["recall"].items():
        cells = [f"{recall[cut]['mean']:.4f}" for cut in ("25", "100", "500")]
        own = name in report["milliseconds"]
        lost = f"{report['lost_without'][name]['mean']:.4f}" if own else ""
        table.add_row(name, *cells, lost, f"{report['milliseconds'][name]:.2f}" if own else "")
    console.print(table)
    for name, over in report["union_over"].items():
        one = over["100"]
        console.print(
            f"  union over {name}, recall@100: {one['mean']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]",
            highlight=False,
        )
    parts = Table(title=f"{client}: recall@{HEAD} by part")
    for heading in ("", "requests", *report["recall"]):
        parts.add_column(heading)
    for part, figures in report["segments"].items():
        means = (figures[f"recall@{HEAD}"][name]["mean"] for name in report["recall"])
        parts.add_row(part, f"{figures['requests']:,}", *(f"{mean:.4f}" for mean in means))
    console.print(parts)
