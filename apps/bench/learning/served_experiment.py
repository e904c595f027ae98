"""One experiment through a served funnel in this process: its report from the real log beside a count by user."""

from pathlib import Path
from typing import Any

import numpy as np

from apps.bench.learning.arms import Size
from apps.project import Opened, open_project
from apps.world.in_process import URL, InProcess
from apps.world.plan import Arm, SimulationPlan
from apps.world.simulate import Simulator
from apps.world.world import World
from cluster.catalog.build import build_catalog
from cluster.experiments.assignment import arms_of
from cluster.experiments.definition import Experiment
from cluster.experiments.register import Register
from cluster.store.home import control_root, logs_of
from training.experiments.known import trial_of
from training.experiments.report import as_json
from training.experiments.run import run_report

DAYS = 7.0
WORSE = {"sizes.explore": 20}
"""What the treatment sets: most of its answer is drawn at random, which users save less of."""


def served_experiment(size: Size, folder: Path, seed: int = 71) -> dict[str, Any]:
    """In a world of its own."""
    world = World.make(seed, size.pins, size.boards, size.users)
    opened = open_project(world.write(folder, {"home": "home", "serving": {"simulation": True}}))
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    return reported_and_counted(world, opened, size.measured, seed)


def reported_and_counted(world: World, opened: Opened, visits: int, seed: int) -> dict[str, Any]:
    """Starts it, lets the world's users come, and reports it. `counted`: the same from what the simulation did."""
    experiment = Experiment(
        name="explore_much",
        clients=("homefeed",),
        arms={"control": {}, "treatment": {"set": WORSE}},
        guardrails=("hide", "milliseconds", "degraded"),
    )
    project = opened.project
    Register(control_root(project.home, project.control)).start(experiment)
    users = np.arange(len(world.user_ids))
    with InProcess(opened) as app:
        come = SimulationPlan(users, visits, 0.0, DAYS, (Arm("bench", "ranked"),), {"homefeed": 1.0}, seed)
        traffic = Simulator(world, URL, transport=app.transport).run(come)
    told = as_json(run_report(project, logs_of(project), trial_of(experiment)))
    arm = arms_of(experiment, world.user_ids.tolist())
    requests = traffic.requests[0, 0]
    saves = traffic.did[0, 0, :, traffic.actions.index("save")]
    counted = {}
    for at, name in enumerate(experiment.arms):
        mine = (arm == at) & (requests > 0)
        counted[name] = {
            "users": int(mine.sum()),
            "requests": int(requests[mine].sum()),
            "save per user": float(saves[mine].mean()),
        }
    row = next(row for row in told["lifts"] if row["figure"] == "save per user")
    return {
        "days": told["days"],
        "arms": told["arms"],
        "sample_ratio_p": told["sample_ratio"]["p"],
        "save per user": {"plain": row["plain"], "cuped": row["cuped"]},
        "guardrails": told["guardrails"],
        "verdict": told["verdicts"][0]["text"],
        "counted": counted,
    }
