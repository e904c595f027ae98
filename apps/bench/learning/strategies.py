"""Every label strategy offline, and online in an A/B over the API.

Which one trains the best lightweight ranker? For each seed: a world, its graph, traffic in visit-count order, a full
ranker, traffic that the full ranker orders. Then each arm gets a copy of that state with its own lightweight rankers in
front of the same full ranker, and the same users, held out, come on the same later days. The gate has no say here. The
action model was fixed before the first run (docs/world.md). `--quick` shows that it runs; its figures mean nothing.

A first full ranker knows only what visit count showed. `python -m apps.bench.learning.strategies --generations 3`
trains it anew on the answers that its predecessors ordered, as a loop that has run for days would have, before the
arms part.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.bench.learning.arms import DRAWN, NO_SAY, Size, copied, open_world, visits
from apps.bench.machine import machine
from apps.project import Opened
from apps.reports.arms import lifts, local_and_funnel, merged, shipped_utilities
from apps.world.in_process import URL, InProcess
from apps.world.plan import Arm, SimulationPlan, split_users
from apps.world.simulate import Simulator
from apps.world.traffic import Traffic
from cluster import kinds
from training.full.train import train_full_ranker
from training.judge.orders import LOCALE_BOOST
from training.report.strategies import Compared, compare_strategies

STRATEGIES: Mapping[str, Mapping[str, object]] = {
    "engagement": {"strategy": "engagement"},
    "funnel_pure": {"strategy": "funnel_pure"},
    "funnel_blended": {"strategy": "funnel_blended"},
    "distillation": {"strategy": "distillation"},
    "blended_local": {"strategy": "funnel_blended", "local_label_weight": 0.1},
    "blended_little_local": {"strategy": "funnel_blended", "local_label_weight": 0.02},
}
BASELINES = ("visit_count", "boost")
QUICK = Size(1_500, 400, 200, 400, 300, 100)


def run(
    quick: bool = False,
    seeds: tuple[int, ...] = (11, 12),
    generations: int = 1,
    arms: tuple[str, ...] = tuple(STRATEGIES),
) -> dict[str, Any]:
    """Offline figures by seed and client; lifts of each arm over visit count, all seeds' users resampled together."""
    from cluster import session

    torch.set_num_threads(1)  # as fast for so small a network, and it never waits for a core that others use
    size = QUICK if quick else Size()
    offline = {}
    parts = []
    shares: dict[str, list[dict[str, Any]]] = {}
    with session.session(dashboard=False), tempfile.TemporaryDirectory() as scratch:
        for seed in seeds[:1] if quick else seeds:
            compared, traffic, seen = one_seed(seed, size, Path(scratch) / str(seed), generations, arms)
            offline[str(seed)] = {
                "reports": {c: report.to_dict() for c, report in compared.reports.items()},
                "rows": compared.counts,
                "refused": compared.refused,
            }
            parts.append(traffic)
            for arm, found in seen.items():
                shares.setdefault(arm, []).append(found)
    together, weights = merged(parts), shipped_utilities()
    return {
        "machine": machine(),
        "size": vars(size),
        "generations": generations,
        "online": lifts(together, "visit_count", weights),
        "online_by_seed": {s: lifts(part, "visit_count", weights) for s, part in zip(offline, parts, strict=True)},
        "served": {arm: _mean(found) for arm, found in shares.items()},
        "offline": offline,
    }


def one_seed(
    seed: int, size: Size, folder: Path, generations: int = 1, arms: tuple[str, ...] = tuple(STRATEGIES)
) -> tuple[Compared, Traffic, dict[str, dict[str, Any]]]:
    """The offline comparison, the merged traffic of all arms, and what each arm's logs say of its own funnel."""
    world, opened = open_world(seed, size, folder, {"teacher_share": 0.25, "teacher_candidates": 5_000})
    project, process = opened.project, opened.new_process()
    train, held_out = split_users(world)
    with InProcess(opened) as app:
        users = Simulator(world, URL, transport=app.transport)
        users.run(SimulationPlan(train, size.cold, 0.0, 2.0, (DRAWN,), seed=seed))
        app.flush()
        for day in range(2, 2 + 2 * generations, 2):
            full = train_full_ranker(project, opened.clients, process.store, process.logs, gate=NO_SAY)
            process.store.publish(kinds.FULL, full.version)
            app.swap()
            users.run(SimulationPlan(train, size.warm, float(day), 2.0, (DRAWN,), seed=seed + day - 1))
            app.flush()
    compared = compare_strategies(project, opened.clients, process.logs, {name: STRATEGIES[name] for name in arms})
    traffic = []
    seen = {}
    later = 3.0 + 2 * generations
    for name in (*BASELINES, *arms):
        arm = arm_project(opened, folder / name, name, compared)
        come = SimulationPlan(
            held_out, size.measured, later, 2.0, (Arm(name, "ranked"),), dict.fromkeys(arm.clients, 0.2), seed + 2
        )
        traffic.append(visits(world, arm, come))
        seen[name] = local_and_funnel(arm, name)
        shutil.rmtree(folder / name)
    return compared, merged(traffic, along="arms"), seen


def arm_project(opened: Opened, folder: Path, name: str, compared: Compared | None) -> Opened:
    """A project of its own that starts from the same bundles and logs, with this arm's lightweight rankers."""
    clients = opened.clients
    if name == "boost":
        clients = {
            c: client.model_copy(update={"boosts": client.boosts or LOCALE_BOOST}) for c, client in clients.items()
        }
    arm = copied(opened, folder, clients)
    process = arm.new_process()
    for client, fitted in ({} if compared is None else compared.models.get(name, {})).items():
        meta = {"schema_hash": process.features.schema_hash, "strategy": name}
        with process.store.write(kinds.lightweight(client), meta) as (where, _):
            fitted.save(where / "model.ubj")
    return arm


def _mean(found: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean over seeds of client -> figure."""
    return {
        client: {key: float(np.nanmean([one[client][key] for one in found if client in one])) for key in row}
        for client, row in found[0].items()
    }


def main(argv: list[str] | None = None) -> None:
    """Print the figures as JSON."""
    ask = argparse.ArgumentParser(prog="python -m apps.bench.learning.strategies", description=__doc__)
    ask.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    ask.add_argument("--seeds", type=int, nargs="+", default=[11, 12], help="worlds")
    ask.add_argument("--generations", type=int, default=1, help="times that the full ranker is trained before the arms")
    ask.add_argument("--arms", nargs="+", choices=list(STRATEGIES), default=list(STRATEGIES), help="beside visit count")
    given = ask.parse_args(argv)
    print(json.dumps(run(given.quick, tuple(given.seeds), given.generations, tuple(given.arms)), indent=2))


if __name__ == "__main__":
    main()
