"""recommend, similar: answers for a file of users or pins, as Parquet, without a server."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile, moment
from apps.console import console, guarded, progress_bar, write_json
from apps.project import open_project
from cluster.errors import ConfigError

if TYPE_CHECKING:
    from apps.batch.subjects import Kind

Out = Annotated[Path, typer.Option("--out", help="folder of the answers; run again, what is missing there is answered")]
At = Annotated[
    str | None,
    typer.Option(help="the moment of the answers, when a mail goes out, like 2026-01-31T07:00Z; now"),
]
Limit = Annotated[int | None, typer.Option(min=1, max=500, help="pins each; default: the client's answer size")]
Experiment = Annotated[str, typer.Option(help="a label that is logged with the requests")]
Workers = Annotated[int | None, typer.Option(min=1, help="processes, on Ray; 1 is this one alone (default: one a CPU)")]


def recommend(
    client: Annotated[str, typer.Option("--client", "-c", help="name of a client, like notifications")],
    users: Annotated[
        Path, typer.Option("--users", exists=True, help="Parquet with user ids, or a text file, one a line")
    ],
    out: Out,
    at: At = None,
    limit: Limit = None,
    experiment: Experiment = "",
    workers: Workers = None,
    project: ProjectFile = DEFAULT_PROJECT,
    json_out: JsonFile = None,
) -> None:
    """Recommendations for every user of a file, as a server would answer them at that moment: for a mail, say.

    Each answer is logged at the serving stage like any other, and its `request_id` stands beside it: send it along
    with the events of what people do with the mail, and the next training learns from them.

    pinfunnel recommend --client notifications --users users.parquet --out answers
    """
    _run("user", client, users, out, at, limit, experiment, workers, project, json_out)


def similar(
    pins: Annotated[Path, typer.Option("--pins", exists=True, help="Parquet with pin ids, or a text with one a line")],
    out: Out,
    client: Annotated[str, typer.Option("--client", "-c", help="the client that answers")] = "related_pins",
    at: At = None,
    limit: Limit = None,
    experiment: Experiment = "",
    workers: Workers = None,
    project: ProjectFile = DEFAULT_PROJECT,
    json_out: JsonFile = None,
) -> None:
    """What to show beside each pin of a file: an item-to-item table, from walks that begin at the pin.

    pinfunnel similar --pins pins.parquet --out related
    """
    _run("pin", client, pins, out, at, limit, experiment, workers, project, json_out)


def _run(
    kind: "Kind",
    client: str,
    path: Path,
    out: Path,
    at: str | None,
    limit: int | None,
    experiment: str,
    workers: int | None,
    project: Path,
    json_out: Path | None,
) -> None:
    with guarded():
        opened = open_project(project)
        if client not in opened.clients:
            raise ConfigError(f"--client: unknown client '{client}'; clients: {', '.join(sorted(opened.clients))}")
        if kind == "user" and opened.clients[client].query.source == "request":
            raise ConfigError(
                f"--client: '{client}' walks from a request's own pins, not from a user: `pinfunnel similar`"
            )
        if kind == "pin" and opened.clients[client].query.source == "user":
            raise ConfigError(f"--client: '{client}' walks from a user, not from a pin: `pinfunnel recommend`")
        from apps.backfill.workers import workers_up
        from apps.batch.plan import BatchPlan, begin, digest_of, left
        from apps.batch.run import run_batch
        from apps.batch.subjects import read_subjects, told
        from cluster.contract.moments import MomentContract
        from cluster.contract.text import field_fault

        if fault := field_fault("experiment", experiment):
            raise ConfigError(f"--experiment: {fault}")
        now = datetime.now(UTC)
        when = moment(at, "--at") or now
        if fault := MomentContract(live=False).fault(when, now):
            raise ConfigError(f"--at: {fault}")
        found = read_subjects(opened.project, path, kind)
        for line in told(found, kind):
            console.print(line, highlight=False, soft_wrap=True)
        microseconds = int(when.timestamp() * 1e6)
        wanted = BatchPlan(client, kind, microseconds, len(found.ids), digest_of(found.ids), limit, experiment)
        plan = begin(out, wanted, at is not None)
        if not (pieces := len(left(out, plan))):
            console.print(f"{out}: all {plan.subjects:,} answers are there already", highlight=False)
            return
        with workers_up(1 if pieces == 1 else workers) as at_once, progress_bar() as bars:
            done = run_batch(
                opened, plan, found.ids, out, at_once, bars.count(f"{client}", f"pieces of {plan.piece:,}")
            )
        console.print(
            f"{client}: {done.answered:,} answers of {plan.moment:%Y-%m-%d %H:%M:%S} UTC in {out}, "
            f"{done.degraded:,} of them lack a stage, {done.failed:,} failed; {done.before:,} pieces were there before",
            highlight=False,
        )
        for error in done.errors:
            console.print(f"  {error}", highlight=False, soft_wrap=True)
        write_json(json_out, {**asdict(done), "client": client, "at": plan.moment.isoformat()})
        if done.failed:
            raise typer.Exit(1)
