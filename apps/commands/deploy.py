"""deploy and status: the funnel on a Ray cluster that runs already, from one of its nodes."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from apps.console import console, guarded, quiet

ServeFile = Annotated[Path, typer.Argument(help="the Serve config", show_default=True)]


def deploy(
    config: ServeFile = Path("apps/serve.yaml"),
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="the project's settings file; default: what the config names")
    ] = None,
    address: Annotated[str, typer.Option(help="Ray cluster to join", envvar="RAY_ADDRESS")] = "auto",
    wait: Annotated[float, typer.Option(min=1, help="seconds to wait until all replicas run")] = 300.0,
) -> None:
    """Deploy the funnel on a Ray cluster, and wait until it runs. For a node of the cluster, as `ray exec` reaches it.

    As `serve deploy`, but the project's settings travel with it, every node is asked whether it sees the home and the
    keys, and what keeps the application from running is said here, with exit code 1.
    """
    from cluster import session

    with guarded():
        session.set_flags(address)
        from apps.deploy.config import arguments_of, inlined
        from apps.deploy.counts import count_aside, stage_counts
        from apps.deploy.nodes import look_on_every_node, require_on_every_node, working_nodes
        from apps.deploy.submit import Endpoint, wait_until_running
        from apps.serve import APP, FunnelArgs, check_access, replicas_of
        from serving.deploy.reserved import without_room

        written, opened = inlined(config, project)
        args = FunnelArgs.model_validate(arguments_of(written, config))
        check_access(opened, args.loopback)
        wanted = list(replicas_of(args, opened).values())
        count_aside(written, config, stage_counts(args, opened))
        with session.session(address=address):
            quiet()
            require_on_every_node(opened.project, look_on_every_node)

            def lacking() -> str:
                return without_room(wanted, working_nodes().values())

            if short := lacking():
                console.print(f"note: {short}", highlight=False, soft_wrap=True)
            endpoint = Endpoint(os.environ.get("RAY_DASHBOARD_ADDRESS") or dashboard())
            console.print(f"serve deploy {config}  (with the settings of the project)", highlight=False, soft_wrap=True)
            began = time.time()
            endpoint.deploy(written)

            def say(line: str) -> None:
                console.print(f"{time.time() - began:6.1f} s  {line}", highlight=False, soft_wrap=True)

            wait_until_running(endpoint.applications, APP, wait, say, lacking)


def dashboard() -> str:
    """The dashboard's address, by the cluster that this process has joined."""
    import ray

    return f"http://{ray._private.worker._global_node.webui_url}"  # ray.init, which told it, was the session's
