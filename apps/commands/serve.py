"""serve: the funnel over HTTP until Ctrl-C, and a request to try it with."""

import json
import os
import shlex
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from apps.commands.options import DEFAULT_PROJECT, ProjectFile
from apps.console import console, errors, guarded, progress_bar, quiet
from apps.project import open_project
from cluster.ports import PortClaim, is_loopback
from cluster.processes import below, marked
from cluster.settings.clients import Client

Id = int | str

SERVER = "PINFUNNEL_SERVER"
"""Environment variable by which all that a server has started is told, also when Ray itself has died."""

END_SECONDS = 25.0
"""From the signal to stop until a process is killed that does not end by itself."""


def serve(
    project: ProjectFile = DEFAULT_PROJECT,
    host: Annotated[str | None, typer.Option(help="address to listen on; default: the project's")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="port; default: the project's")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join; default: a local one")] = None,
) -> None:
    """Keep the funnel up on a local Ray (or join a cluster), and print where it listens. Ctrl-C ends it.

    Without a project file here, `make demo` has left one in pinfunnel-demo/: it is served then.
    """
    import numpy as np

    from cluster import kinds, session

    if not project.exists() and project == DEFAULT_PROJECT and (Path("pinfunnel-demo") / project).exists():
        project = Path("pinfunnel-demo") / project
    with guarded():
        opened = open_project(project)
        session.set_flags(address)  # before the first import of Ray, which the Serve application needs
        from apps.serve import check_access, console_of, start

        host, port = host or opened.project.serving.host, port or opened.project.serving.port
        check_access(opened, is_loopback(host))
        process = opened.new_process()
        graphs = process.watcher("graph")
        graphs.poll()
        if not graphs.problems() and graphs.bundles().versions[kinds.GRAPH] is None:
            from cluster.catalog.build import build_catalog
            from cluster.data.inputs import open_inputs

            open_inputs(opened.project)
            console.print("no graph is published yet: building it first")
            with session.session(dashboard=True, address=address), progress_bar() as bars:
                build_catalog(opened.project, process.store, progress=bars.at("build graph"))
            graphs.poll()
        graphs.require(kinds.GRAPH)  # none that fits the project: refused before Ray starts
        for problem in graphs.problems():
            errors.print(f"degraded: {problem.line}", soft_wrap=True, highlight=False)
        stop = threading.Event()
        stop_on_signals(stop)
        os.environ[SERVER] = str(os.getpid())
        with PortClaim(host, port, str(project.resolve())), session.session(dashboard=True, address=address):
            stop_on_signals(stop)  # again: Ray has put its own handler there, which aborts
            quiet()
            server = start(str(project), host=host, port=port)
            _print_urls(server.url, console_of(opened, is_loopback(host)) is not None)
            catalog = process.catalogs.current
            users = catalog.users.ids.ids_of(np.array([0])).tolist() if len(catalog.users) else [None]
            pin = catalog.graph.pin_ids.ids_of(np.array([catalog.graph.pin_degree.argmax()])).tolist()[0]
            closed = opened.project.access.keys is not None
            example = curl_line(server.url, first_client(opened.clients), users[0], pin, closed)
            console.print(f"\n{example}\n", highlight=False, soft_wrap=True)
            stop.wait()
            console.print("stopping: requests under way are answered, and queued logs written")
            server.stop(last=True)


def stop_on_signals(stop: threading.Event) -> None:
    """Ctrl-C and SIGTERM ask to stop; whatever hangs then, of Ray or of ours, the process ends in `END_SECONDS`."""

    def asked(*_: Any) -> None:
        if stop.is_set():
            return
        stop.set()
        last = threading.Timer(END_SECONDS, end_at_once)
        last.daemon = True
        last.start()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, asked)


def end_at_once() -> None:
    """Kill what this process has started, and end it. Acknowledged events are on disk; queued log rows are lost."""
    errors.print(f"not ended after {END_SECONDS:.0f} s (is Ray dead?), so killed; acknowledged events are safe")
    me = os.getpid()
    for child in {*below(me), *marked(SERVER, str(me))} - {me}:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os._exit(1)


def _print_urls(url: str, has_console: bool) -> None:
    import ray

    console.print()
    console.print("pinfunnel serves at", style="bold", end=" ")
    pages = f"   console: {url}/console" if has_console else ""
    console.print(f"{url}{pages}   API: {url}/docs   ready: {url}/readyz", highlight=False, soft_wrap=True)
    dashboard = ray.get_runtime_context().gcs_address and ray._private.worker._global_node.webui_url
    if dashboard:
        console.print(f"Ray dashboard: http://{dashboard}", highlight=False)


def first_client(clients: dict[str, Client]) -> Client:
    """The client to show: the first whose walks start from what the user did, else the first of all."""
    of_user = [client for client in clients.values() if client.query.source == "user"]
    return (of_user or list(clients.values()))[0]


def example_body(client: Client, user: Id | None, pin: Id) -> dict[str, Any]:
    """The request that this client is made for: who asks, the pin that the walk starts from, or both."""
    body: dict[str, Any] = {}
    if user is not None:
        body["user_id"] = user
    if client.query.source != "user" or user is None:
        body["query_pins"] = [{"pin_id": pin}]
    return body | {"explain": True}


def curl_line(url: str, client: Client, user: Id | None, pin: Id, closed: bool = False) -> str:
    """A line for the shell, with the key taken from a variable: the client's, or KEY where a file has the keys."""
    variable = None if client.open else client.api_key_env or ("KEY" if closed else None)
    key = f' -H "x-api-key: ${variable}"' if variable else ""
    body = shlex.quote(json.dumps(example_body(client, user, pin), ensure_ascii=False))
    return f"curl -s {url}/v1/{client.name}/recommendations -H 'content-type: application/json'{key} -d {body}"
