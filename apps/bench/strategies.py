"""Which strategy trains the best lightweight ranker? Every one offline and in an A/B over the API, in the closed loop.

For each seed: a world, its graph, traffic in visit-count order, a full ranker, traffic that the full ranker orders.
Then each arm gets a copy of that state with its own lightweight rankers in front of the same full ranker, and the same
users, held out, come on the same later days. The gate has no say here. The action model was fixed before the first
run (docs/world.md). `--quick` shows that it runs; its figures mean nothing.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.arms import lifts, local_and_funnel, merged, shipped_utilities
from apps.bench.machine import machine
from apps.in_process import URL, InProcess
from apps.project import Opened, open_project
from apps.simulate import Arm, Plan, Simulator, split_users
from apps.traffic import Traffic
from apps.world import World
from cluster.catalog import build_catalog
from training.compare import Compared, compare_strategies
from training.evaluate import LOCALE_BOOST
from training.full import KIND as FULL
from training.full import train_full_ranker

STRATEGIES: Mapping[str, Mapping[str, object]] = {
    "engagement": {"strategy": "engagement"},
    "funnel_pure": {"strategy": "funnel_pure"},
    "funnel_blended": {"strategy": "funnel_blended"},
    "distillation": {"strategy": "distillation"},
    "blended_local": {"strategy": "funnel_blended", "local_label_weight": 0.1},
    "blended_little_local": {"strategy": "funnel_blended", "local_label_weight": 0.02},
}
BASELINES = ("visit_count", "boost")
DRAWN = Arm("drawn", "ranked")


@dataclass(frozen=True)
class Size:
    """World and traffic of one seed."""

    pins: int = 20_000
    boards: int = 5_000
    users: int = 1_000
    cold: int = 3_000
    warm: int = 2_500
    measured: int = 1_500  # of each arm


QUICK = Size(1_500, 400, 200, 400, 300, 100)


def run(quick: bool = False, seeds: tuple[int, ...] = (11, 12)) -> dict[str, Any]:
    """Offline figures by seed and client; lifts of each arm over visit count, all seeds' users resampled together."""
    from cluster import session

    torch.set_num_threads(1)  # as fast for so small a network, and it never waits for a core that others use
    size, offline, parts = QUICK if quick else Size(), {}, []
    shares: dict[str, list[dict[str, Any]]] = {}
    with session.session(dashboard=False), tempfile.TemporaryDirectory() as scratch:
        for seed in seeds[:1] if quick else seeds:
            compared, traffic, seen = one_seed(seed, size, Path(scratch) / str(seed))
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
        "online": lifts(together, "visit_count", weights),
        "online_by_seed": {s: lifts(part, "visit_count", weights) for s, part in zip(offline, parts, strict=True)},
        "served": {arm: _mean(found) for arm, found in shares.items()},
        "offline": offline,
    }


def open_world(seed: int, size: Size, folder: Path, serving: Mapping[str, object]) -> tuple[World, Opened]:
    """A world and its project in a new `folder`, with these serving settings and a graph."""
    folder.mkdir(parents=True)
    world = World.make(seed, size.pins, size.boards, size.users)
    opened = open_project(world.write(folder, {"home": "home", "serving": {"simulation": True, **serving}}))
    build_catalog(opened.project, opened.process.store)
    return world, opened


def one_seed(seed: int, size: Size, folder: Path) -> tuple[Compared, Traffic, dict[str, dict[str, Any]]]:
    """The offline comparison, the merged traffic of all arms, and what each arm's logs say of its own funnel."""
    world, opened = open_world(seed, size, folder, {"teacher_share": 0.25, "teacher_candidates": 5_000})
    project, process = opened.project, opened.process
    train, held_out = split_users(world)
    with InProcess(opened) as app:
        users = Simulator(world, URL, transport=app.transport)
        users.run(Plan(train, size.cold, 0.0, 2.0, (DRAWN,), seed=seed))
        app.flush()
        full = train_full_ranker(project, opened.clients, process.store, process.logs)
        process.store.publish(FULL, full.version)
        app.swap()
        users.run(Plan(train, size.warm, 2.0, 2.0, (DRAWN,), seed=seed + 1))
    compared = compare_strategies(project, opened.clients, process.logs, STRATEGIES)
    traffic, seen = [], {}
    for name in (*BASELINES, *STRATEGIES):
        arm = arm_project(opened, folder / name, name, compared)
        with InProcess(arm) as app:
            come = Plan(
                held_out, size.measured, 5.0, 2.0, (Arm(name, "ranked"),), dict.fromkeys(arm.clients, 0.2), seed + 2
            )
            traffic.append(Simulator(world, URL, transport=app.transport).run(come))
        seen[name] = local_and_funnel(arm, name)
        shutil.rmtree(folder / name)
    return compared, merged(traffic, along="arms"), seen


def arm_project(opened: Opened, folder: Path, name: str, compared: Compared | None) -> Opened:
    """A project of its own that starts from the same bundles and logs, with this arm's lightweight rankers."""
    shutil.copytree(opened.project.home, folder)
    project = opened.project.model_copy(update={"home": str(folder)})
    clients = opened.clients
    if name == "boost":
        clients = {
            c: client.model_copy(update={"boosts": client.boosts or LOCALE_BOOST}) for c, client in clients.items()
        }
    arm = Opened(project, clients)
    process = arm.process
    for client, fitted in ({} if compared is None else compared.models.get(name, {})).items():
        meta = {"schema_hash": process.features.schema_hash, "strategy": name}
        with process.store.write(f"lightweight/{client}", meta) as (where, _):
            fitted.save(where / "model.ubj")
    return arm


def _mean(found: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean over seeds of client -> figure."""
    return {
        client: {key: float(np.nanmean([one[client][key] for one in found if client in one])) for key in row}
        for client, row in found[0].items()
    }
