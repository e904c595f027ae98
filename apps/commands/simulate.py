"""simulate: the synthetic world's users at work on a running server."""

from typing import Annotated, Literal

import typer

from apps.commands.options import JsonFile
from apps.console import console, guarded, progress_bar, write_json


def simulate(
    url: Annotated[str, typer.Option(help="a running server of a world's project")] = "http://127.0.0.1:8000",
    requests: Annotated[int, typer.Option(min=1, help="recommendation requests to send")] = 1000,
    days: Annotated[float, typer.Option(min=0.01, help="simulated days they spread over")] = 1.0,
    start_day: Annotated[float, typer.Option(help="day of the world's clock to begin at")] = 0.0,
    order: Annotated[
        Literal["ranked", "visit_count", "both"], typer.Option(help="which order to ask for; both is an A/B test")
    ] = "ranked",
    pins: Annotated[int, typer.Option(min=100, help="size of the world; as the demo's by default")] = 20_000,
    boards: Annotated[int, typer.Option(help="boards of the world")] = 5_000,
    users: Annotated[int, typer.Option(help="users of the world")] = 1_000,
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
        if order == "both":
            compared = compare(traffic)
            console.print(table(compared))
            write_json(out, compared.as_json())
            return
        asked = int(traffic.requests.sum())
        acted = int(traffic.did.sum())
        console.print(f"{asked:,} requests, {acted:,} actions", highlight=False)
        write_json(out, {"requests": asked, "actions": acted})
