"""First lightweight rankers by settings of trees and labels, judged online.

What makes a first lightweight ranker good, if all are trained on the same few logs?

For each seed: a small world, 700 answers in visit-count order (some 100 to 200 a client), a set of rankers by the
defaults and one by each other setting, all trained on engagement. Then users held out come to each, and to visit count,
on the same later days over the API in process. Lifts are of the judged action by the world's true probabilities.

    python -m apps.bench.learning.cold_start [--quick]
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.learning.arms import DRAWN, Size, open_world, visits
from apps.bench.learning.strategies import arm_project
from apps.bench.machine import machine
from apps.reports.arms import lifts, merged, shipped_utilities
from apps.world.in_process import URL, InProcess
from apps.world.plan import Arm, SimulationPlan, split_users
from apps.world.simulate import Simulator
from apps.world.traffic import Traffic
from cluster import session
from training.report.strategies import Compared, compare_strategies

GBDT: Mapping[str, Mapping[str, object]] = {
    "deep": {"max_depth": 6, "learning_rate": 0.1, "min_child_weight": 5.0, "column_share": 1.0, "rounds": 150},
}
LABELS: Mapping[str, Mapping[str, object]] = {
    "unbalanced": {"request_balance": 0.0},
    "fully_balanced": {"request_balance": 1.0},
}
SETTINGS = ("default", *GBDT, *LABELS)
SIZE = Size(6_000, 1_500, 500, 700, 0, 500)
QUICK = Size(1_500, 400, 200, 250, 0, 60)


def run(quick: bool = False, seeds: tuple[int, ...] = (21, 22, 23)) -> dict[str, Any]:
    """Per seed and setting: true lift over visit count and its offline differences, by client; and the mean lift."""
    online, offline = {}, {}
    with session.session(dashboard=False), tempfile.TemporaryDirectory() as scratch:
        for seed in seeds[:1] if quick else seeds:
            compared, traffic = one_seed(seed, QUICK if quick else SIZE, Path(scratch) / str(seed))
            found = lifts(traffic, "visit_count", shipped_utilities())
            online[str(seed)] = {n: {c: row["true_lift"] for c, row in found[n].items()} for n in SETTINGS}
            offline[str(seed)] = {
                name: {
                    client: {m: i.to_dict() for m, i in report.against("visit_count", name).items()}
                    for client, report in one.reports.items()
                }
                for name, one in compared.items()
            }
    means = {n: float(np.mean([v for seed in online.values() for v in seed[n].values()])) for n in SETTINGS}
    return {"mean_true_lift": means, "true_lift": online, "offline": offline, "machine": machine()}


def one_seed(seed: int, size: Size, folder: Path) -> tuple[dict[str, Compared], Traffic]:
    """Models by setting, and the traffic of all arms."""
    world, opened = open_world(seed, size, folder, {})
    project, process = opened.project, opened.new_process()
    train, held_out = split_users(world)
    with InProcess(opened) as app:
        users = Simulator(world, URL, transport=app.transport)
        users.run(SimulationPlan(train, size.cold, 0.0, 2.0, (DRAWN,), seed=seed))
        app.flush()
    compared = {
        name: compare_strategies(
            project.model_copy(update={"gbdt": project.gbdt.model_copy(update=dict(GBDT.get(name, {})))}),
            opened.clients,
            process.logs,
            {name: {"strategy": "engagement", **LABELS.get(name, {})}},
        )
        for name in SETTINGS
    }
    traffic = []
    for name in ("visit_count", *SETTINGS):
        arm = arm_project(opened, folder / name, name, compared.get(name))
        come = SimulationPlan(held_out, size.measured, 5.0, 2.0, (Arm(name, "ranked"),), {}, seed + 2)
        traffic.append(visits(world, arm, come))
    return compared, merged(traffic, along="arms")


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
