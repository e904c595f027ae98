"""evaluate: what each stage is worth on data that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from apps.console import console, guarded, progress_bar, read_parquet, write_json
from apps.project import open_project, pick_clients
from apps.reports.figures_table import actions_table, figures_table
from apps.tables import Table
from cluster.errors import ConfigError

if TYPE_CHECKING:
    from training.judge.lightweight import LightweightReport

evaluate_app = typer.Typer(no_args_is_help=True, help="Quality of each stage on data that it was not trained on.")


@evaluate_app.command("retrieval")
def evaluate_retrieval(
    train: Annotated[Path, typer.Option(exists=True, help="Parquet of edges the graph is built from")],
    test: Annotated[Path, typer.Option(exists=True, help="Parquet of edges to be found")],
    board: Annotated[str, typer.Option(help="column of the container (or user)")] = "board_id",
    pin: Annotated[str, typer.Option(help="column of the item")] = "pin_id",
    k: Annotated[int, typer.Option("-k", min=1, help="cut of recall and NDCG")] = 20,
    seed: Seed = 0,
    shards: Annotated[
        int | None, typer.Option(min=1, help="parts of the graph that are walked apart (default: the project's)")
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option("--project", "-p", exists=True, help="whose graph.shards count (default: pinfunnel.yaml, if any)"),
    ] = None,
    out: JsonFile = None,
) -> None:
    """Recall@k and NDCG@k of walks alone: from each board's train pins, without them, against its test pins."""
    from training.metrics.registry import ANSWERS
    from training.retrieval.walks import evaluate_retrieval as evaluate

    with guarded():
        parts = shards or _shards_of(project)
        with progress_bar() as bars:
            tables = read_parquet(train), read_parquet(test)
            figures = evaluate(*tables, board, pin, k, seed=seed, progress=bars.at("retrieval"), shards=parts)
        told = f", {parts} shards" if parts > 1 else ""
        table = Table(title=f"Walks alone, {figures['boards']:,} boards{told}, {figures['seconds']:.1f} s")
        names = [metric.figure(k) for metric in ANSWERS]
        for name in names:
            table.add_column(name)
        table.add_row(*(f"{figures[name]:.4f}" for name in names))
        console.print(table)
        write_json(out, figures)


def _shards_of(project: Path | None) -> int:
    """`graph.shards` of the project file that is named, or of the one here; 1 without either."""
    from cluster.settings.project import Project

    file = project or (DEFAULT_PROJECT if DEFAULT_PROJECT.is_file() else None)
    return Project.load(file).graph.shards if file else 1


@evaluate_app.command("lightweight")
def evaluate_lightweight(
    project: ProjectFile = DEFAULT_PROJECT,
    client: ClientName = None,
    since: Since = None,
    until: Until = None,
    out: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """The published lightweight rankers on logged requests: NDCG, AUC, recall at the cut, funnel efficiency.

    Next to visit count and the hand-made boost it replaces. Give --since a moment after training for held-out time.
    """
    from cluster import session

    with guarded():
        span = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        clients = pick_clients(opened, client)
        from training.report.published import published_lightweight

        process = opened.new_process()
        with session.session(dashboard=False):
            reports = published_lightweight(opened.project, clients, process.store, process.logs, *span)
        _say(reports, out, html, "Lightweight rankers on logged requests")


@evaluate_app.command("strategies")
def evaluate_strategies(
    strategy: Annotated[list[str] | None, typer.Option(help="one to compare; may be repeated. Default: all")] = None,
    project: ProjectFile = DEFAULT_PROJECT,
    client: ClientName = None,
    since: Since = None,
    until: Until = None,
    out: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Train every strategy on the same logged requests, judge all on the last fifth, and publish nothing.

    Next to visit count and the client's boosts. `funnel` strategies and distillation want a log with a full ranker;
    `serving.teacher_share` has it score dropped candidates too, for an unbiased look at funnel efficiency.
    """
    from cluster import session

    with guarded():
        begin, end = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        clients = pick_clients(opened, client)
        check_names(strategy or [])
        from training.report.strategies import compare_strategies

        logs = opened.new_process().logs
        with session.session(dashboard=False), progress_bar() as bars:
            compared = compare_strategies(
                opened.project,
                clients,
                logs,
                strategy or None,
                since=begin,
                until=end,
                progress=bars.at("strategies"),
            )
        notes = [f"{s}, {c}: {why}" for s, found in compared.refused.items() for c, why in found.items()]
        _say(compared.reports, out, html, "Strategies on logged requests", notes)


def check_names(strategies: Sequence[str]) -> None:
    """Raises ConfigError for a strategy that is not there."""
    from training.lightweight.strategies.registry import known_strategies

    for name in strategies:
        if name not in known_strategies():
            raise ConfigError(f"--strategy: no strategy is called '{name}': use {', '.join(known_strategies())}")


def _say(
    reports: dict[str, LightweightReport], out: Path | None, html: Path | None, title: str, notes: Sequence[str] = ()
) -> None:
    for name, report in reports.items():
        console.print(figures_table(f"{name}: {report.requests} requests", report.orders))
    for note in notes:
        console.print(note, highlight=False)
    write_json(out, {name: report.to_dict() for name, report in reports.items()})
    if html is not None:
        from apps.reports.evaluation_html import write_evaluation

        console.print(f"report: {write_evaluation(reports, html, title, notes)}", highlight=False)


@evaluate_app.command("full")
def evaluate_full(
    project: ProjectFile = DEFAULT_PROJECT, since: Since = None, until: Until = None, out: JsonFile = None
) -> None:
    """The published full ranker on the shown candidates of logged requests: NDCG by client, AUC and ECE by action."""
    from cluster import session

    with guarded():
        span = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        from training.report.published import published_full

        process = opened.new_process()
        with session.session(dashboard=False):
            report = published_full(opened.project, opened.clients, process.store, process.logs, *span)
        console.print(figures_table(f"NDCG by client, {report.requests} requests", report.ndcg))
        console.print(actions_table("By action", report.actions["full"]))
        write_json(out, report.to_dict())


@evaluate_app.command("model")
def evaluate_model(
    version_a: Annotated[str, typer.Argument(help="a stored version of a ranker, like 20260131T120000-abc123")],
    version_b: Annotated[str, typer.Argument(help="another one of the same ranker")],
    project: ProjectFile = DEFAULT_PROJECT,
    since: Since = None,
    until: Until = None,
    out: JsonFile = None,
) -> None:
    """Two stored versions of one ranker, published or not, on the same logged requests, and what B is better by.

    Both of one client's lightweight ranker, or both full rankers. Give --since a moment after the training of both for
    held-out time. Versions are the folders below the bundles' kinds, and stand in what `train` writes to --json.
    """
    from cluster import session

    with guarded():
        span = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        from training.judge.lightweight import LightweightReport
        from training.report.versions import common_kind, compare_versions

        process = opened.new_process()
        versions = (version_a, version_b)
        kind = common_kind(process.store, opened.clients, process.features, opened.project.ids, versions)
        with session.session(dashboard=False):
            report = compare_versions(
                opened.project, opened.clients, process.store, process.logs, version_a, version_b, *span
            )
        if isinstance(report, LightweightReport):
            console.print(figures_table(f"{kind}: {report.requests} requests", report.orders))
        else:
            console.print(figures_table(f"{kind}: NDCG by client, {report.requests} requests", report.ndcg))
            for version, figures in report.actions.items():
                console.print(actions_table(f"{version} by action", figures))
        for figure, interval in report.differences[version_a].items():
            if interval.n:
                console.print(
                    f"B - A, {figure}: {interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}] "
                    f"on {interval.n:,} requests",
                    highlight=False,
                )
        write_json(out, {"kind": kind, "a": version_a, "b": version_b, **report.to_dict()})
