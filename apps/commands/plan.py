"""plan: how many machines a funnel needs, and what breaks first."""

from pathlib import Path
from typing import Annotated

import typer

from apps.commands.options import JsonFile
from apps.console import console, guarded, write_json
from apps.plan import curves as curve_files
from apps.plan import machines as machine_files
from apps.plan.capacity import CapacityNeed, Demand, plan, size
from apps.tables import Table


def plan_capacity(
    pins: Annotated[int, typer.Option(min=1, help="items")],
    edges: Annotated[int, typer.Option(min=1, help="pin-board pairs")],
    qps: Annotated[float, typer.Option(min=0.001, help="requests a second at the peak")],
    boards: Annotated[int | None, typer.Option(min=1, help="containers; default: a quarter of the pins")] = None,
    candidates: Annotated[int, typer.Option(min=1, help="that a request scores in the lightweight stage")] = 2000,
    survivors: Annotated[int, typer.Option(min=1, help="of them, that the full ranker scores")] = 500,
    steps: Annotated[int, typer.Option(min=1, help="of a request's random walks")] = 100_000,
    busy: Annotated[float, typer.Option(min=0.05, max=1, help="share of the cores in use at the peak")] = 0.5,
    spare: Annotated[int, typer.Option(min=0, help="machines that may be lost at the peak")] = 1,
    curves: Annotated[
        Path, typer.Option(exists=True, help="figures of your machine: `python -m apps.bench.capacity --json FILE`")
    ] = curve_files.SHIPPED,
    machines: Annotated[
        Path, typer.Option(exists=True, help="machines to choose from, and prices; default: apps/plan/machines.yaml")
    ] = machine_files.SHIPPED,
    out: JsonFile = None,
) -> None:
    """Machines, memory and dollars for a funnel of a size, reckoned from what one core was measured to do.

    Every machine holds the whole graph, and twice while a new one replaces it. Costs of a request are CPU milliseconds
    of one core; --busy leaves room, as requests wait for each other long before all cores are in use. What cannot hold
    at this size is said last, the worst first.
    """
    with guarded():
        measured = curve_files.read_curves(curves)
        demand = Demand(pins, boards or max(pins // 4, 1), edges, qps, candidates, survivors, steps, busy, spare)
        need = plan(demand, measured, machine_files.read_machines(machines))
        console.print(table(need))
        for line in [*remarks(need), f"measured on: {measured.where}"]:
            console.print(line, highlight=False, soft_wrap=True)
        write_json(out, need.as_json())


def table(need: CapacityNeed) -> Table:
    """What is needed."""
    asked = need.demand
    made = Table(title=f"{asked.edges:,} edges, {asked.qps:,g} requests/s, {asked.candidates:,} candidates")
    made.add_column("what")
    made.add_column("needed", justify="right")
    if need.machine:
        each = need.machine
        made.add_row("machines", f"{need.machines} × {each.name} ({each.cores} cores, {each.gib:,g} GiB)")
        made.add_row("dollars a month", f"{need.dollars_month:,.0f}")
    made.add_row(f"cores, {asked.busy:.0%} of them in use", f"{need.cores:,.1f}")
    for part, ms in need.ms.items():
        made.add_row(f"  {part}, ms a request", f"{ms:.2f}")
    made.add_row("candidates scored a second", f"{asked.qps * asked.candidates:,.0f}")
    made.add_row("graph", size(need.graph_bytes))
    made.add_row("  its edges", size(need.edge_bytes))
    made.add_row("  ids, features, similar pins", size(need.graph_bytes - need.edge_bytes))
    if need.machine:
        made.add_row("memory of a machine, while a graph is swapped", size(need.machine_bytes))
    made.add_row("to build the graph: core hours", f"{need.build_core_hours:,.2f}")
    made.add_row("to build the graph: memory of all builders", size(need.build_bytes))
    made.add_row("serving log, a day", size(need.log_bytes_day))
    return made


def remarks(need: CapacityNeed) -> list[str]:
    """What does not hold."""
    if need.breaks:
        return [f"breaks: {line}" for line in need.breaks]
    return ["breaks: nothing at this size"]
