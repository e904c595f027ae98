"""evaluate stages: every order side by side on replayed, held-out time."""

from typing import Annotated

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
from apps.project import open_project, pick_clients


def evaluate_stages(
    project: ProjectFile = DEFAULT_PROJECT,
    client: ClientName = None,
    since: Since = None,
    until: Until = None,
    every: Annotated[int, typer.Option(min=1, help="one request for every so many actions of a user")] = 10,
    graphs: Annotated[int, typer.Option(min=1, help="how often the graph is rebuilt as time goes on")] = 4,
    min_history: Annotated[int, typer.Option(min=1, help="actions a user must have had before the first request")] = 3,
    peers: Annotated[bool, typer.Option(help="popularity, ItemKNN, RP3beta, EASE and ALS beside the stages")] = False,
    slow_peers: Annotated[bool, typer.Option(help="those and SASRec, which takes minutes")] = False,
    new_below: Annotated[int, typer.Option(min=1, help="a user with fewer known actions is new")] = 10,
    cold_below: Annotated[int, typer.Option(min=1, help="a pin on fewer boards is cold")] = 5,
    protocol: Annotated[bool, typer.Option(help="also print how the orders were judged")] = False,
    seed: Seed = 0,
    out: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Popularity, visit count, the published rankers and peers on the same past requests that no model has seen.

    Past moments from --since on (default: the last fifth of `data.events`) are asked again with what was known then;
    what the user did next says which pins were to be found. Recall and NDCG with intervals from resampled users, for
    all requests and for new users, cold pins and locales. Needs `data.events`, and `saved_at` on edges.
    """
    with guarded():
        span = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        clients = pick_clients(opened, client)
        from apps.backfill.moment import ReplayPlan
        from apps.backfill.replay import Replay
        from apps.bench.recommenders.panel import PeerPanel, recommenders
        from apps.reports.stages import evaluate_stages as evaluate
        from apps.reports.stages_html import write_stages
        from apps.reports.stages_protocol import positive_actions, protocol_lines, protocol_of
        from apps.reports.stages_segments import Segments
        from apps.reports.stages_table import remarks, segments_tables, stages_table
        from cluster.store.replays import count_replayed

        replay = Replay(opened)
        begin = span[0] or replay.moment(0.8)
        plan = ReplayPlan(graphs, every, min_history, opened.project.attribution_hours, begin, span[1], seed)
        replay.process.watcher("lightweight", "full").poll()
        qualities = {}
        protocols = {}
        notes = []
        if span[0] is None:
            notes.append(f"--since was not given: the last fifth of all events is judged on, from {begin:%F %R} UTC on")
        for name, settings in clients.items():
            if settings.query.source == "request":
                notes.append(f"{name}: left out, its walks start from the request's own query pins")
                continue
            if seen := count_replayed(replay.process.logs, name, (begin, span[1])):
                notes.append(
                    f"{name}: {seen:,} backfilled requests of this time are in the logs, so a model may have learned "
                    f"from it: for held-out time run backfill with --until {begin:%FT%RZ} --replace, then train"
                )
            panel = None
            if peers or slow_peers:
                panel = PeerPanel(replay.history, positive_actions(opened, name), recommenders(slow_peers))
            with progress_bar() as bars:
                found = evaluate(
                    replay,
                    name,
                    plan,
                    progress=bars.at(name),
                    more=panel,
                    segments=Segments(new_below, cold_below),
                )
            qualities[name] = found
            protocols[name] = protocol_of(replay, name, plan, found)
            console.print(stages_table(name, [found]))
            for table in segments_tables(name, found):
                console.print(table)
            lines = [*remarks([found]), *(protocol_lines(protocols[name]) if protocol else [])]
            for line in lines:
                console.print(line, highlight=False)
        for note in notes:
            console.print(note, highlight=False)
        write_json(out, {name: {**found.as_json(), "protocol": protocols[name]} for name, found in qualities.items()})
        if html is not None:
            page = write_stages(qualities, protocols, html, "Stages on held-out time", notes)
            console.print(f"report: {page}", highlight=False)
