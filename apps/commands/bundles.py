"""bundles prune: old versions of graphs and models are removed, but for those that something still names."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile
from apps.console import console, guarded, write_json
from apps.project import open_project

bundles_app = typer.Typer(no_args_is_help=True, help="Stored graphs and models.")


@bundles_app.callback()
def _group() -> None:
    """Stored graphs and models."""


@bundles_app.command("prune")
def prune(
    project: ProjectFile = DEFAULT_PROJECT,
    keep: Annotated[int, typer.Option(min=1, help="newest versions of each kind that stay")] = 5,
    days: Annotated[
        int | None,
        typer.Option(min=0, help="only what requests of so many days were served with stays; default: of all"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
    out: JsonFile = None,
) -> None:
    """Remove old bundles. Of each kind stay the published version, the newest, and what requests or experiments name.

    What a replay under way has built stays too, and everything of the last 24 hours. What killed writers have
    left goes. For a nightly job, behind `compact-logs`; serving may go on. `models prune` is the same.
    """
    with guarded():
        from apps.backfill.ledger import Ledger
        from cluster.store import prune as pruning

        process = open_project(project).new_process()
        since = None if days is None else datetime.now(UTC) - timedelta(days=days)
        named = pruning.named_in_logs(process.logs, since) | Ledger.graphs(process.logs.root)
        named |= {version for each in process.experiments.running() for version in each.pinned}
        done = pruning.prune(process.store, keep, named, dry=dry_run)
        for what in (*done.versions, *done.remains):
            console.print(f"  {what}", highlight=False, soft_wrap=True)
        verb = "would go" if dry_run else "removed"
        console.print(
            f"{len(done.versions)} versions and {len(done.remains)} left-over folders {verb}, {done.kept} versions stay"
        )
        write_json(out, {"versions": done.versions, "remains": done.remains, "kept": done.kept})
