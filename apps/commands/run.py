"""demo, simulate, bench: things that run for a while and end by themselves."""

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from apps.commands.options import JsonFile
from apps.console import console, guarded, progress_bar, quiet, write_json

BENCH_ROOM = "apps.bench"


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
    order: Annotated[
        Literal["ranked", "visit_count", "both"], typer.Option(help="which order to ask for; both is an A/B test")
    ] = "ranked",
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
    from apps.world.plan import RANKED, VISIT_COUNT, SimulationPlan
    from apps.world.simulate import Simulator
    from apps.world.world import World

    arms = {"ranked": (RANKED,), "visit_count": (VISIT_COUNT,), "both": (VISIT_COUNT, RANKED)}
    with guarded():
        world = World.make(seed, pins, boards, users)
        plan = SimulationPlan(np.arange(users), requests, start_day, days, arms[order], seed=seed)
        with progress_bar() as bars:
            traffic = Simulator(world, url).run(plan, bars.at("simulate"))
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
