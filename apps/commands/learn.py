"""backfill, train: from past interactions and logs to published models."""

from dataclasses import asdict
from typing import Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, ClientName, JsonFile, ProjectFile, Seed, Since, Until, moment
from apps.console import console, guarded, progress_bar, write_json
from apps.project import open_project, pick_clients

train_app = typer.Typer(no_args_is_help=True, help="Train rankers from the logs; a gate publishes only what is better.")


def backfill(
    project: ProjectFile = DEFAULT_PROJECT,
    client: ClientName = None,
    graphs: Annotated[int, typer.Option(min=1, help="how often the graph is rebuilt as time goes on")] = 6,
    every: Annotated[
        int, typer.Option(min=1, help="one request for every so many actions of a user, where none is known")
    ] = 10,
    min_history: Annotated[int, typer.Option(min=1, help="actions a user must have had before the first request")] = 3,
    since: Since = None,
    until: Until = None,
    seed: Seed = 0,
    replace: Annotated[bool, typer.Option(help="replace an earlier replay by the new one")] = False,
    unseen: Annotated[
        int, typer.Option(min=0, help="candidates neither shown nor acted on to log of each request, drawn evenly")
    ] = 100,
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes, on Ray; 1 is this one alone (default: one a CPU)")
    ] = None,
    out: JsonFile = None,
) -> None:
    """Replay past interactions through the funnel, so that the first models can be trained without a serving log.

    At each past moment the funnel built from what was known then proposes candidates with their features; what the user
    did next gives the labels. With `data.impressions` all requests that were really answered are replayed, and what
    they showed is logged as shown. Needs `data.events`, and `saved_at` on edges.
    Then: pinfunnel train lightweight --all

    A replay that was ended early goes on where it was when the same command runs again.
    """
    with guarded():
        span = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        clients = dict(pick_clients(opened, client))
        from apps.backfill.backfill import backfill as replay_into_logs
        from apps.backfill.backfill import make_way_for_all
        from apps.backfill.moment import ReplayPlan
        from apps.backfill.replay import Replay
        from apps.backfill.workers import workers_up

        replay = Replay(opened)
        plan = ReplayPlan(graphs, every, min_history, opened.project.attribution_hours, *span, seed, unseen)
        for reason, count in replay.dropped.dropped.items():
            console.print(f"impressions: {count:,} rows left out: {reason}")
        figures = {}
        for name in [n for n in clients if opened.clients[n].query.source == "request"]:
            console.print(f"{name}: left out, its walks start from the request's own query pins")
            del clients[name]
        for name in [n for n in clients if replay.past.shown and not replay.past.showed(n)]:
            console.print(f"{name}: data.impressions has nothing of it, so its requests are made up from actions")
        for name in clients:
            if early := replay.before_span(name, plan):
                console.print(
                    f"{name}: {early:,} requests left out, as little was known before them (--since: have them)"
                )
        for name, dropped in make_way_for_all(replay, list(clients), plan, replace).items():
            console.print(f"{name}: {dropped:,} requests of an earlier replay removed")
        with workers_up(workers) as at_once, progress_bar() as bars:
            for name in clients:
                done = replay_into_logs(replay, name, plan, bars.count(f"backfill {name}", "moments"), at_once)
                figures[name] = {**asdict(done), "reach": done.reach}
                console.print(f"{name}: {done.text()}")
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

    if (client is None) == (not every):
        raise typer.BadParameter("name one client with --client, or train all with --all")
    with guarded():
        begin, end = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        clients = pick_clients(opened, client)
        from training.lightweight.train import train_all_lightweight

        process = opened.new_process()
        with session.session(dashboard=False), progress_bar() as bars:
            outcomes = train_all_lightweight(
                opened.project,
                clients,
                process.store,
                process.logs,
                since=begin,
                until=end,
                progress=bars.at("train"),
                strict=client is not None,
            )
        for name, outcome in outcomes.items():
            console.print(f"{name}: {outcome.reason}", highlight=False)
            if outcome.trees:
                console.print(f"  trees: {outcome.trees['reason']}", highlight=False)
            for note in outcome.notes:
                console.print(f"  {note}", highlight=False)
        write_json(out, {name: outcome.to_dict() for name, outcome in outcomes.items()})


@train_app.command("quotas")
def train_quotas(
    client: Annotated[str, typer.Option(help="client whose sources are bought")],
    project: ProjectFile = DEFAULT_PROJECT,
    keep: Annotated[float, typer.Option(min=0.5, max=1.0, help="share of what full quotas found that is kept")] = 0.98,
    since: Since = None,
    until: Until = None,
    out: JsonFile = None,
) -> None:
    """Learn how much of each source's quota is worth its compute, request by request, from requests at full quotas.

    Replays smaller quotas from the log, beside static ones, calibrated scores, fusion and round-robin. Serving uses
    what is published where the client's YAML says `allotment: {learned: true}`.
    """
    from cluster import session

    with guarded():
        begin, end = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        named = pick_clients(opened, client)[client]
        from training.quotas.learn import learn_quotas

        process = opened.new_process()
        with session.session(dashboard=False), progress_bar() as bars:
            outcome = learn_quotas(
                opened.project,
                named,
                process.store,
                process.logs,
                keep=keep,
                since=begin,
                until=end,
                progress=bars.at("quotas"),
            )
        console.print(f"{client}: {outcome.reason}", highlight=False)
        for name, point in outcome.at_equal_share.items():
            told = "never" if point is None else f"{point['share']:.3f} with {point['cost']:.0f} candidates"
            console.print(f"  {name}: {told}", highlight=False)
        write_json(out, outcome.to_dict())


@train_app.command("full")
def train_full(
    project: ProjectFile = DEFAULT_PROJECT, since: Since = None, until: Until = None, out: JsonFile = None
) -> None:
    """Fit the multi-task full ranker of all clients on Ray Train, compare with the incumbent, publish or refuse."""
    from cluster import session

    with guarded():
        begin, end = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        from training.full.train import train_full_ranker

        process = opened.new_process()
        with session.session(dashboard=False), progress_bar() as bars:
            outcome = train_full_ranker(
                opened.project,
                opened.clients,
                process.store,
                process.logs,
                since=begin,
                until=end,
                progress=bars.at("train"),
            )
        console.print(f"full: {outcome.reason}", highlight=False)
        for note in outcome.notes:
            console.print(f"  {note}", highlight=False)
        console.print(f"  plan {outcome.plan['reason']}", highlight=False)
        write_json(out, outcome.to_dict())
