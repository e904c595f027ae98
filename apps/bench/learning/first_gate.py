"""The gate's word on first lightweight models of a small log beside what users then do.

Is the gate right about a first lightweight model of a few hundred answers?

For each seed: a world, 600 answers in visit-count order, lightweight rankers from them. The gate decides twice: by the
fifth of the log that is held out, and by cross-validation too, as the product does where little is held out. Then users
held out come to visit count and to the new models, let through or not, on the same later days, over the API in process:
the world says which are better. Orders drawn at random, which are worth nothing, are put before the gate as well.

    python -m apps.bench.learning.first_gate [--quick] [--seeds 61 62 63 64]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.learning.arms import DRAWN, Size, copied, open_world, visits
from apps.bench.machine import machine
from apps.project import Opened
from apps.reports.arms import lifts, merged, shipped_utilities
from apps.world.in_process import URL, InProcess
from apps.world.plan import Arm, SimulationPlan, split_users
from apps.world.simulate import Simulator
from cluster import kinds, session
from training.judge.gate import Gate, decide
from training.judge.lightweight import NDCG_AT
from training.lightweight.held_out import held_out_requests
from training.lightweight.judged_requests import ENOUGH, JudgedRequests
from training.lightweight.train import Outcome, judge, train_all_lightweight
from training.log.arrays import Request
from training.log.requests import join_logs
from training.log.tasks import LogWindow
from training.log.windows import windows_of
from training.metrics.intervals import Interval

SIZE = Size(20_000, 5_000, 1_000, 600, 0, 800)
QUICK = Size(1_500, 400, 200, 300, 0, 60)
ARMS = (Arm("visit_count", "visit_count"), Arm("ranked", "ranked"))
EVEN = dict.fromkeys(("homefeed", "related_pins", "notifications", "search", "ads"), 0.2)
"""Every client has as many requests."""
WAYS = {"held out": 0, "cross-validated": ENOUGH}
"""By what the gate decides: how many held-out requests judge alone."""
CONSTANT = "every candidate of a request the same score"
"""What every gate says of trees without a split: they are counted apart."""
DRAWS = 10
"""Random orders of each client."""
RULES = ("tolerance", "shown worse")
"""Of what is refused: a mean below the gate's tolerance, or only what is worse beyond doubt (the product's)."""


def run(quick: bool = False, seeds: tuple[int, ...] = (61, 62, 63, 64)) -> dict[str, Any]:
    """How many models and random orders are let through by each way to judge; both figures and true lifts by client."""
    with session.session(dashboard=False), tempfile.TemporaryDirectory() as scratch:
        found = {
            str(seed): one_seed(seed, QUICK if quick else SIZE, Path(scratch) / str(seed))
            for seed in (seeds[:1] if quick else seeds)
        }
    every = [row for clients in found.values() for row in clients.values()]
    rows = [row for row in every if row["orders"]]
    better = [row for row in rows if row["true_lift"] > 0]
    gates = [f"{way}, {rule}" for way in WAYS for rule in RULES]
    return {
        "models": len(rows),
        "without_an_order": len(every) - len(rows),
        "truly_better": len(better),
        "let_through": {gate: sum(row["let_through"][gate] for row in rows) for gate in gates},
        "let_through_of_better": {gate: sum(row["let_through"][gate] for row in better) for gate in gates},
        "random_let_through": {gate: float(np.mean([row["random"][gate] for row in rows])) for gate in gates},
        "clients": found,
        "machine": machine(),
    }


def one_seed(seed: int, size: Size, folder: Path) -> dict[str, dict[str, Any]]:
    """By client: what each way says, the share of random orders that it lets through, and the world's true lift."""
    world, opened = open_world(seed, size, folder, {})
    train, held_out = split_users(world)
    with InProcess(opened) as app:
        Simulator(world, URL, transport=app.transport).run(
            SimulationPlan(train, size.cold, 0.0, 2.0, (DRAWN,), EVEN, seed)
        )
        app.flush()
    random = random_orders(opened, seed)
    told: dict[str, dict[str, Outcome]] = {}
    traffic = []
    for way, enough in WAYS.items():
        arm = copied(opened, folder / way, opened.clients)
        process = arm.new_process()
        told[way] = train_all_lightweight(arm.project, arm.clients, process.store, process.logs, enough=enough)
    for client, outcome in told[way].items():
        if outcome.version:
            process.store.publish(kinds.lightweight(client), outcome.version)
    for order in ARMS:
        come = SimulationPlan(held_out, size.measured, 3.0, 2.0, (order,), EVEN, seed)
        traffic.append(visits(world, copied(arm, folder / order.name, arm.clients), come))
    online = lifts(merged(traffic, along="arms"), "visit_count", shipped_utilities())["ranked"]
    return {
        client: {
            "reasons": {way: told[way][client].reason for way in WAYS},
            "let_through": {
                f"{way}, {rule}": passes(told[way][client].metrics, rule) for way in WAYS for rule in RULES
            },
            "random": random[client],
            "orders": CONSTANT not in told[way][client].reason,
            **{name: online[client][name] for name in ("true_lift", "true_low", "true_high")},
        }
        for client in opened.clients
    }


def passes(metrics: dict[str, Any], rule: str) -> bool:
    """Whether a first model with such figures is let through."""
    found = metrics.get("differences", {}).get("visit_count", {}).get(f"ndcg@{NDCG_AT}")
    if found is None:
        return False
    tolerance = Gate().tolerance if rule == "tolerance" else float("inf")
    return decide(Interval(**found), "visit count", True, False, Gate(tolerance=tolerance)).publish


def random_orders(opened: Opened, seed: int) -> dict[str, dict[str, float]]:
    """By client and gate: the share of random orders that are let through."""
    process, names = opened.new_process(), list(opened.clients)
    joined = join_logs(opened.project, process.logs, names)
    held = held_out_requests(joined, windows_of(joined, names, 0.2)[1])
    every = held_out_requests(joined, {name: LogWindow() for name in names})
    rng = np.random.default_rng(seed)

    def drawn(client: str, requests: list[Request]) -> list[dict[str, Any]]:
        orders = [JudgedRequests(requests, [rng.random(r.n, np.float32) for r in requests]) for _ in range(DRAWS)]
        return [judge(opened.project, opened.clients[client], process.store, one)[0].to_dict() for one in orders]

    out: dict[str, dict[str, float]] = {name: {} for name in names}
    for way, of in (("held out", held), ("cross-validated", every)):
        for name in names:
            figures = drawn(name, of[name])
            out[name] |= {f"{way}, {rule}": float(np.mean([passes(one, rule) for one in figures])) for rule in RULES}
    return out


def main(argv: list[str] | None = None) -> None:
    """Print the figures as JSON."""
    ask = argparse.ArgumentParser(prog="python -m apps.bench.learning.first_gate", description=__doc__)
    ask.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    ask.add_argument("--seeds", type=int, nargs="+", default=[61, 62, 63, 64], help="worlds")
    given = ask.parse_args(argv)
    print(json.dumps(run(given.quick, tuple(given.seeds)), indent=2))


if __name__ == "__main__":
    main()
