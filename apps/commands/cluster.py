"""up, down, status, logs: a cluster and what runs on it. Ray's own commands are printed before they run."""

import os
import shlex
import subprocess  # nosec B404: Ray's own commands
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, ProjectFile
from apps.console import console, guarded
from apps.deploy import ray_commands
from apps.deploy.ray_commands import RayCommand
from apps.tables import Table

if TYPE_CHECKING:
    from apps.reports.home_status import HomeStatus

ClusterFile = Annotated[Path, typer.Argument(help="Ray's cluster file")]
OfCluster = Annotated[Path | None, typer.Option("--cluster", help="Ray's cluster file: ask there, not here")]
TOKEN = Path("~/.ray/auth_token")


def up(file: ClusterFile = Path("cluster.yaml")) -> None:
    """Start the cluster of a file, or bring one that runs to what the file says: `ray up`.

    pinfunnel up cluster/launch/on-prem.yaml
    """
    with guarded():
        _run(ray_commands.up(file, TOKEN.expanduser().exists()))


def down(file: ClusterFile = Path("cluster.yaml")) -> None:
    """End the cluster of a file: `ray down`. What lies in the home stays."""
    with guarded():
        _run(ray_commands.down(file))


def logs(
    cluster: OfCluster = None,
    lines: Annotated[int, typer.Option(min=1, help="of each replica, the newest")] = 20,
    match: Annotated[str, typer.Option(help="part of a replica's name, like `full`")] = "",
) -> None:
    """What the replicas of the running application say, on every node.

    From a node of the cluster, or with --cluster from elsewhere.
    """
    with guarded():
        if cluster is not None:
            _run([ray_commands.on_head(cluster, f"pinfunnel logs --lines {lines} --match {shlex.quote(match)}")])
            return
        from cluster import session

        session.set_flags("auto")
        from apps.deploy.replica_logs import newest_lines

        with session.session(address=os.environ.get("RAY_ADDRESS", "auto")):
            for heading, text in newest_lines(match, lines):
                console.rule(heading)
                console.print(text, markup=False, highlight=False, soft_wrap=True)


def status(cluster: OfCluster = None, project: ProjectFile = DEFAULT_PROJECT) -> None:
    """What the project's home holds: versions that serve, how fresh the logs are, the disk; and what the cluster runs.

    The cluster is asked where RAY_ADDRESS names one.
    """
    with guarded():
        if cluster is not None:
            _run([ray_commands.on_head(cluster, f"pinfunnel status --project {shlex.quote(str(project))}")])
            return
        from apps.loop.rounds import Rounds
        from apps.project import open_project
        from apps.reports.home_status import read_status

        settings = open_project(project).project
        _print_home(read_status(settings))
        if rounds := Rounds(Path(settings.local_home) / "loop").read():
            console.print(rounds[-1].text(), highlight=False, soft_wrap=True)
        if address := os.environ.get("RAY_ADDRESS"):
            _print_application(address)


def _print_home(found: "HomeStatus") -> None:
    from apps.reports.home_status import age

    now = datetime.now(UTC)
    table = Table("bundle", "version that serves", "age", "kept beside it", box=None)
    for one in found.published:
        table.add_row(one.kind, one.version, age(one.made, now), str(one.others))
    console.print(table if found.published else "no bundle is published: `pinfunnel build-graph` makes the first")
    for log in found.logs:
        newest = f"{log.rows:,} rows in {log.files} files on {log.newest}, {log.days} days in all"
        broken = f", {log.unreadable} unreadable files" if log.unreadable else ""
        console.print(f"log of {log.name}: {newest if log.days else 'empty'}{broken}", highlight=False)
    free, size = (f"{bytes / 2**30:,.1f}" for bytes in (found.free, found.size))
    console.print(f"disk of the home: {free} of {size} GiB free", highlight=False)


def _print_application(address: str) -> None:
    from cluster import session

    session.set_flags(address)
    from apps.commands.deploy import dashboard
    from apps.deploy.submit import Endpoint
    from apps.serve import APP

    with session.session(address=address):
        app = Endpoint(os.environ.get("RAY_DASHBOARD_ADDRESS") or dashboard()).applications().get(APP)
    if app is None:
        console.print(f"no application `{APP}` on the cluster: `pinfunnel deploy` makes it")
        return
    console.print(f"application: {app['status']} {app.get('message', '')}".rstrip(), highlight=False)
    for name, deployment in app["deployments"].items():
        states = [replica["state"] for replica in deployment["replicas"]]
        counted = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))) or "no replica"
        console.print(
            f"  {name}: {deployment['status']}, {counted} {deployment.get('message', '')}".rstrip(), highlight=False
        )


def _run(commands: Iterable[RayCommand]) -> None:
    """Print and run each; the first that fails ends it, with its exit code."""
    for command in commands:
        console.print(f"$ {command}", highlight=False, soft_wrap=True, markup=False)
        done = subprocess.run(command.argv, env={**os.environ, **command.environment}, check=False)  # nosec B603
        if done.returncode:
            raise typer.Exit(done.returncode)
