"""backfill, train, evaluate: from logs to published models, and what they are worth."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from apps.commands.options import DEFAULT_PROJECT, ClientName, JsonFile, ProjectFile, Since, Until, moment
from apps.console import console, guarded, progress_bar, write_json
from apps.project import Opened, open_project
from cluster.clients import Client
from cluster.errors import ConfigError

train_app = typer.Typer(no_args_is_help=True, help="Train rankers from the logs; a gate publishes only what is better.")
evaluate_app = typer.Typer(no_args_is_help=True, help="Quality of each stage on data that it was not trained on.")


def pick_clients(opened: Opened, name: str | None) -> dict[str, Client]:
    """One client by name, or all. Raises ConfigError for an unknown name."""
    if name is None:
        return opened.clients
    if name not in opened.clients:
        raise ConfigError(f"--client: unknown client '{name}'; clients: {', '.join(sorted(opened.clients))}")
    return {name: opened.clients[name]}


def backfill(
    project: ProjectFile = DEFAULT_PROJECT,
    client: ClientName = None,
    graphs: Annotated[int, typer.Option(min=1, help="how often the graph is rebuilt as time goes on")] = 6,
    every: Annotated[int, typer.Option(min=1, help="one request for every so many actions of a user")] = 10,
    min_history: Annotated[int, typer.Option(min=1, help="actions a user must have had before the first request")] = 3,
    since: Since = None,
    until: Until = None,
    seed: int = 0,
    out: JsonFile = None,
) -> None:
    """Replay past interactions through the funnel, so that the first models can be trained without a serving log.

    At each past moment the funnel built from what was known then proposes candidates with their features; what the user
    did next gives the labels. Needs `data.events`, and `saved_at` on edges. Then: pinfunnel train lightweight --all
    """
    from apps.backfill import backfill as replay_into_logs
    from apps.replay import Replay, ReplayPlan

    with guarded():
        opened = open_project(project)
        replay = Replay(opened)
        hours = opened.project.attribution_hours
        plan = ReplayPlan(graphs, every, min_history, hours, moment(since, "--since"), moment(until, "--until"), seed)
        figures = {}
        with progress_bar() as bars:
            for name in pick_clients(opened, client):
                if opened.clients[name].query.source == "request":
                    console.print(f"{name}: left out, its walks start from the request's own query pins")
                    continue
                done = replay_into_logs(replay, name, plan, bars.at(name))
                figures[name] = {**asdict(done), "reach": done.reach}
        for name, row in figures.items():
            console.print(
                f"{name}: {row['requests']:,} requests, {row['candidates']:,} candidates, "
                f"{100 * row['reach']:.1f} % of the next {row['actions']:,} actions were among them"
            )
        write_json(out, figures)


@train_app.command("lightweight")
def train_lightweight(
    project: ProjectFile = DEFAULT_PROJECT,
    client: ClientName = None,
    every: Annotated[bool, typer.Option("--all", help="train every client that has logs")] = False,
    since: Since = None,
    until: Until = None,
    out: JsonFile = None,
) -> None:
    """Fit one GBDT per client from serving logs joined with events, compare with the incumbent, publish or refuse.

    A running server swaps to a published model by itself, without a restart.
    """
    from cluster import session
    from training.lightweight import train_all_lightweight

    if (client is None) == (not every):
        raise typer.BadParameter("name one client with --client, or train all with --all")
    with guarded(), session.session(dashboard=False):
        opened = open_project(project)
        process = opened.process
        with progress_bar() as bars:
            outcomes = train_all_lightweight(
                opened.project,
                pick_clients(opened, client),
                process.store,
                process.logs,
                since=moment(since, "--since"),
                until=moment(until, "--until"),
                progress=bars.at("train"),
                strict=client is not None,
            )
        for name, outcome in outcomes.items():
            console.print(f"{name}: {outcome.reason}", highlight=False)
            for note in outcome.notes:
                console.print(f"  {note}", highlight=False)
        write_json(out, {name: outcome.to_dict() for name, outcome in outcomes.items()})


@train_app.command("full")
def train_full(
    project: ProjectFile = DEFAULT_PROJECT, since: Since = None, until: Until = None, out: JsonFile = None
) -> None:
    """Fit the multi-task full ranker of all clients on Ray Train, compare with the incumbent, publish or refuse."""
    from cluster import session
    from training.full import train_full_ranker

    with guarded(), session.session(dashboard=False):
        opened = open_project(project)
        process = opened.process
        with progress_bar() as bars:
            outcome = train_full_ranker(
                opened.project,
                opened.clients,
                process.store,
                process.logs,
                since=moment(since, "--since"),
                until=moment(until, "--until"),
                unimpressed=opened.project.ranker.unimpressed,
                progress=bars.at("train"),
            )
        console.print(f"full: {outcome.reason}", highlight=False)
        write_json(out, outcome.to_dict())


@evaluate_app.command("retrieval")
def evaluate_retrieval(
    train: Annotated[Path, typer.Option(exists=True, help="Parquet of edges the graph is built from")],
    test: Annotated[Path, typer.Option(exists=True, help="Parquet of edges to be found")],
    board: Annotated[str, typer.Option(help="column of the container (or user)")] = "board_id",
    pin: Annotated[str, typer.Option(help="column of the item")] = "pin_id",
    k: Annotated[int, typer.Option("-k", min=1, help="cut of recall and NDCG")] = 20,
    seed: int = 0,
    out: JsonFile = None,
) -> None:
    """Recall@k and NDCG@k of walks alone: from each board's train pins, without them, against its test pins."""
    import pyarrow.parquet as pq

    from training.retrieval import evaluate_retrieval as evaluate

    with guarded():
        with progress_bar() as bars:
            report = bars.at("retrieval")
            figures = evaluate(
                pq.read_table(train),
                pq.read_table(test),
                board,
                pin,
                k,
                seed=seed,
                progress=lambda done, total, what: report(what, done / max(total, 1)),
            )
        table = Table(title=f"Walks alone, {figures['boards']:,} boards, {figures['seconds']:.1f} s")
        for name in (f"recall@{k}", f"ndcg@{k}"):
            table.add_column(name)
        table.add_row(f"{figures[f'recall@{k}']:.4f}", f"{figures[f'ndcg@{k}']:.4f}")
        console.print(table)
        write_json(out, figures)


def _show(title: str, orders: dict[str, dict[str, Any]]) -> None:
    """Orders as rows, metrics as columns; a cell is mean [low, high]."""
    metrics = list(dict.fromkeys(m for row in orders.values() for m in row))
    table = Table(title=title)
    for heading in ("order", *metrics):
        table.add_column(heading)
    for name, row in orders.items():
        cells = [row.get(m) for m in metrics]
        table.add_row(name, *("–" if c is None else f"{c.mean:.4f} [{c.low:.4f}, {c.high:.4f}]" for c in cells))
    console.print(table)


@evaluate_app.command("lightweight")
def evaluate_lightweight(
    project: ProjectFile = DEFAULT_PROJECT,
    client: ClientName = None,
    since: Since = None,
    until: Until = None,
    out: JsonFile = None,
) -> None:
    """The published lightweight rankers on logged requests: NDCG, AUC, recall at the cut, funnel efficiency.

    Next to visit count and the hand-made boost it replaces. Give --since a moment after training for held-out time.
    """
    from cluster import session
    from training.published import published_lightweight

    with guarded(), session.session(dashboard=False):
        opened = open_project(project)
        process, span = opened.process, (moment(since, "--since"), moment(until, "--until"))
        clients = pick_clients(opened, client)
        reports = published_lightweight(opened.project, clients, process.store, process.logs, *span)
        for name, report in reports.items():
            _show(f"{name}: {report.requests} requests", report.orders)
        write_json(out, {name: report.to_dict() for name, report in reports.items()})


@evaluate_app.command("full")
def evaluate_full(
    project: ProjectFile = DEFAULT_PROJECT, since: Since = None, until: Until = None, out: JsonFile = None
) -> None:
    """The published full ranker on the shown candidates of logged requests: NDCG by client, AUC and ECE by action."""
    from cluster import session
    from training.published import published_full

    with guarded(), session.session(dashboard=False):
        opened = open_project(project)
        process, span = opened.process, (moment(since, "--since"), moment(until, "--until"))
        report = published_full(opened.project, opened.clients, process.store, process.logs, *span)
        _show(f"NDCG by client, {report.requests} requests", report.ndcg)
        table = Table(title="By action")
        figures = report.actions["full"]
        names = list(dict.fromkeys(k for row in figures.values() for k in row))
        for heading in ("action", *names):
            table.add_column(heading)
        for action, row in figures.items():
            table.add_row(
                action, *(f"{row[n]:.4g}" if isinstance(row.get(n), float) else str(row.get(n, "")) for n in names)
            )
        console.print(table)
        write_json(out, report.to_dict())
