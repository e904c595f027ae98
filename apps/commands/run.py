"""serve, simulate, demo, bench: things that run."""

import importlib
import importlib.util
import pkgutil
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile
from apps.console import console, guarded, progress_bar, quiet, write_json

BENCH_ROOM = "apps.bench"


def serve(
    project: ProjectFile = DEFAULT_PROJECT,
    host: Annotated[str | None, typer.Option(help="address to listen on; default: the project's")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="port; default: the project's")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join; default: a local one")] = None,
) -> None:
    """Keep the funnel up on a local Ray (or join a cluster), and print where it listens. Ctrl-C ends it.

    Without a project file here, `make demo` has left one in pinfunnel-demo/: it is served then.
    """
    from cluster import session

    session.set_flags(address)
    from apps.project import open_project
    from apps.serve import start

    if not project.exists() and project == DEFAULT_PROJECT and (Path("pinfunnel-demo") / project).exists():
        project = Path("pinfunnel-demo") / project
    with guarded():
        opened = open_project(project)
        if opened.process.store.current("graph") is None:
            console.print("no graph is published yet: building it first")
            from cluster.catalog.catalog import build_catalog

            with session.session(dashboard=True, address=address), progress_bar() as bars:
                build_catalog(opened.project, opened.process.store, progress=bars.at("build graph"))
        with session.session(dashboard=True, address=address):
            quiet()
            server = start(str(project), host=host, port=port)
            _print_urls(server.url, opened.process.catalogs.current.users)
            stop = threading.Event()
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, lambda *_: stop.set())
            stop.wait()
            console.print("stopping: queued logs are written first")
            server.stop()


def _print_urls(url: str, users: object) -> None:
    import json

    import numpy as np
    import ray

    ids = users.ids.ids_of(np.array([0], np.int32)).tolist() if len(users) else [1]  # type: ignore[attr-defined, arg-type]
    body = json.dumps({"user_id": ids[0], "explain": True})
    dashboard = ray.get_runtime_context().gcs_address and ray._private.worker._global_node.webui_url
    console.print(f"\n[bold]pinfunnel serves at[/] {url}   API: {url}/docs   health: {url}/healthz", highlight=False)
    if dashboard:
        console.print(f"Ray dashboard: http://{dashboard}", highlight=False)
    console.print(
        f"\ncurl -s {url}/v1/homefeed/recommendations -H 'content-type: application/json' -d '{body}'\n",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def demo(
    folder: Annotated[Path, typer.Option(help="where its data, bundles, logs and report go")] = Path("pinfunnel-demo"),
    seed: Annotated[int, typer.Option(help="another seed is another world")] = 0,
    out: JsonFile = None,
) -> None:
    """Watch the loop close: build a world, serve it cold, log, train, hot-swap, and compare on held-out users."""
    from cluster import session

    session.set_flags()
    from apps.demo.demo import run

    with guarded():
        quiet()
        result = run(folder, seed=seed, console=console)
        write_json(out, result.as_json())


def simulate(
    url: Annotated[str, typer.Option(help="a running server of a world's project")] = "http://127.0.0.1:8000",
    requests: Annotated[int, typer.Option(min=1, help="recommendation requests to send")] = 1000,
    days: Annotated[float, typer.Option(min=0.01, help="simulated days they spread over")] = 1.0,
    start_day: Annotated[float, typer.Option(help="day of the world's clock to begin at")] = 0.0,
    order: Annotated[str, typer.Option(help="ranked, visit_count, or both (an A/B test)")] = "ranked",
    pins: Annotated[int, typer.Option(min=100, help="size of the world; as the demo's by default")] = 20_000,
    boards: int = 5_000,
    users: int = 1_000,
    seed: Annotated[int, typer.Option(help="seed of the world: it must be the one that the server was built from")] = 0,
    out: JsonFile = None,
) -> None:
    """Drive a running server like a front end: ask, show, act by the documented action model (docs/world.md), report.

    For the world of `pinfunnel demo`; its project must have serving.simulation: true.
    """
    import numpy as np

    from apps.reports.comparison import compare, table
    from apps.world.simulate import RANKED, VISIT_COUNT, Plan, Simulator
    from apps.world.world import World

    arms = {"ranked": (RANKED,), "visit_count": (VISIT_COUNT,), "both": (VISIT_COUNT, RANKED)}
    if order not in arms:
        raise typer.BadParameter(f"--order: {order!r} is none of {', '.join(arms)}")
    with guarded():
        world = World.make(seed, pins, boards, users)
        plan = Plan(np.arange(users), requests, start_day, days, arms[order], seed=seed)
        with progress_bar() as bars:
            tick = bars.at("simulate")
            traffic = Simulator(world, url).run(plan, lambda done, total: tick("requests", done / max(total, 1)))
        shown = Table(title=f"{int(traffic.requests.sum()):,} requests, {int(traffic.did.sum()):,} actions")
        if order == "both":
            console.print(table(compare(traffic)))
            write_json(out, compare(traffic).as_json())
            return
        console.print(shown)
        write_json(out, {"requests": int(traffic.requests.sum()), "actions": int(traffic.did.sum())})


def benches() -> dict[str, tuple[str, str]]:
    """Benchmarks by name: the module that has it, and the first line of what it says of itself."""
    found = {}
    room = importlib.import_module(BENCH_ROOM)
    for module in pkgutil.walk_packages(room.__path__, f"{BENCH_ROOM}."):
        spec = importlib.util.find_spec(module.name)  # imports the packages, never the benchmarks themselves
        if module.ispkg or spec is None or spec.origin is None:
            continue
        text = Path(spec.origin).read_text(encoding="utf-8")
        if "\ndef run(" in text:
            found[module.name.rpartition(".")[2]] = (module.name, text.split('"""')[1].strip().splitlines()[0])
    return dict(sorted(found.items()))


def bench(
    name: Annotated[str | None, typer.Argument(help="which one; none lists them")] = None,
    quick: Annotated[bool, typer.Option(help="small sizes: shows that it runs, not how fast we are")] = False,
    out: JsonFile = None,
) -> None:
    """Measure us next to peers in one run, on pinned cores, medians and ratios (docs/benchmarks.md)."""
    known = benches()
    if name is None:
        table = Table(title="pinfunnel bench NAME")
        table.add_column("name")
        table.add_column("what")
        for each, (_, what) in known.items():
            table.add_row(each, what)
        console.print(table)
        return
    if name not in known:
        raise typer.BadParameter(f"no benchmark '{name}'; there are {', '.join(known)}")
    with guarded():
        figures = importlib.import_module(known[name][0]).run(quick=quick)
        console.print_json(data=figures, default=str)
        write_json(out, figures)
