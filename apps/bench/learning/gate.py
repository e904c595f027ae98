"""The gate's word on a first full ranker beside what users then do.

Is the gate right? Its held-out figures stand beside what the world then says, by client.

For each seed: a world, 1,800 answers in visit-count order, lightweight rankers from them, 600 answers in their order,
a first full ranker. Then users held out come to visit count, to the lightweight rankers and to the full ranker behind
them on the same later days, over the API in process. Utility is the true one of the world, per pin shown. The gate
decides from the log alone; the bench says which order each way to decide would have served, and what that was worth.

    python -m apps.bench.learning.gate [--quick] [--seeds 43 44 45 46]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.bench.learning.arms import DRAWN, NO_SAY, Size, copied, open_world, visits
from apps.bench.machine import machine
from apps.reports.arms import lifts, merged, shipped_utilities
from apps.world.in_process import URL, InProcess
from apps.world.plan import Arm, SimulationPlan, split_users
from apps.world.simulate import Simulator
from apps.world.traffic import Traffic
from cluster import kinds, session
from training.full.train import train_full_ranker
from training.judge.gate import Gate, decide, worse_clients
from training.lightweight.train import train_all_lightweight
from training.metrics.intervals import Interval

SIZE = Size(20_000, 5_000, 1_000, 1_800, 600, 1_000)
QUICK = Size(1_500, 400, 200, 300, 200, 60)
ARMS = ("visit_count", "lightweight", "full")
COMPARED = ("without_full", "visit_count")
"""What the gate can hold a first full ranker against: the order that it replaces, or visit count."""


def run(quick: bool = False, seeds: tuple[int, ...] = (43, 44, 45, 46)) -> dict[str, Any]:
    """Per seed and client: offline differences and true utilities; mean true utility by what decides."""
    torch.set_num_threads(1)  # as fast for so small a network, and it never waits for a core that others use
    found = {}
    with session.session(dashboard=False), tempfile.TemporaryDirectory() as scratch:
        for seed in seeds[:1] if quick else seeds:
            differences, traffic = one_seed(seed, QUICK if quick else SIZE, Path(scratch) / str(seed))
            found[str(seed)] = judged(differences, traffic)
    ways = ("lightweight", "full", *(f"gate against {name}" for name in COMPARED))
    rows = [row for clients in found.values() for row in clients.values()]
    served = {way: [row["true_utility"][row["serves"].get(way, way)] for row in rows] for way in ways}
    return {
        "mean_true_utility": {way: float(np.mean(values)) for way, values in served.items()},
        "clients": found,
        "machine": machine(),
    }


def one_seed(seed: int, size: Size, folder: Path) -> tuple[dict[str, dict[str, Any]], Traffic]:
    """The report's differences of the full ranker by order and client, and the traffic of all arms."""
    world, opened = open_world(seed, size, folder, {})
    process = opened.new_process()
    train, held_out = split_users(world)
    with InProcess(opened) as app:
        users = Simulator(world, URL, transport=app.transport)
        users.run(SimulationPlan(train, size.cold, 0.0, 2.0, (DRAWN,), seed=seed))
        app.flush()
        trained = train_all_lightweight(opened.project, opened.clients, process.store, process.logs)
        for client, outcome in trained.items():
            if outcome.version:
                process.store.publish(kinds.lightweight(client), outcome.version)
        app.swap()
        users.run(SimulationPlan(train, size.warm, 2.0, 1.0, (DRAWN,), seed=seed + 1))
    full = train_full_ranker(opened.project, opened.clients, process.store, process.logs, gate=NO_SAY)
    traffic = []
    for name in ARMS:
        arm = copied(opened, folder / name, opened.clients)
        if name == "full":
            arm.new_process().store.publish(kinds.FULL, full.version)
        order = Arm(name, "visit_count" if name == "visit_count" else "ranked")
        come = SimulationPlan(held_out, size.measured, 3.0, 2.0, (order,), dict.fromkeys(arm.clients, 0.2), seed + 2)
        traffic.append(visits(world, arm, come))
    return full.metrics["differences"], merged(traffic, along="arms")


def judged(differences: dict[str, dict[str, Any]], traffic: Traffic) -> dict[str, dict[str, Any]]:
    """By client: offline figures, true utilities, and the order that a gate on each comparison serves."""
    online, gate = lifts(traffic, "visit_count", shipped_utilities()), Gate()
    let_through: dict[str, set[str]] = {}
    for name in COMPARED:
        seen = {client: Interval(**figures) for client, figures in differences[name].items()}
        passed = decide(seen["all"], name, finite=True, constant=False, gate=gate).publish
        let_through[name] = set(traffic.clients) - set(worse_clients(seen, gate)) if passed else set()
    return {
        client: {
            "offline": {name: differences[name].get(client) for name in COMPARED},
            "true_utility": {arm: online[arm][client]["true_utility"] for arm in ARMS},
            "true_lift": {arm: online[arm][client]["true_lift"] for arm in ARMS},
            "serves": {f"gate against {n}": "full" if client in let_through[n] else "lightweight" for n in COMPARED},
        }
        for client in traffic.clients
    }


def main(argv: list[str] | None = None) -> None:
    """Print the figures as JSON."""
    ask = argparse.ArgumentParser(prog="python -m apps.bench.learning.gate", description=__doc__)
    ask.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    ask.add_argument("--seeds", type=int, nargs="+", default=[43, 44, 45, 46], help="worlds")
    given = ask.parse_args(argv)
    print(json.dumps(run(given.quick, tuple(given.seeds)), indent=2))


if __name__ == "__main__":
    main()
