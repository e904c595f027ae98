"""The loop of the demo is a function of its seed: which request came first, and into which file, changes nothing.

Two loops of the same world, one request at a time and eight, with the log written in one part and in several: the same
trees, the same network, the same answers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from apps.project import open_project
from apps.world.in_process import URL, InProcess
from apps.world.plan import RANKED, SimulationPlan, split_users
from apps.world.simulate import Simulator
from apps.world.traffic import Traffic
from apps.world.world import World
from cluster import kinds
from cluster.catalog.build import build_catalog
from training.full.train import train_full_ranker
from training.lightweight.train import train_all_lightweight

SMALL = {"gbdt": {"rounds": 20}, "ranker": {"size": "debug", "epochs": 2}, "graph": {"partitions": 2}}
MIX = {"homefeed": 0.6, "related_pins": 0.4}


@dataclass
class SeededLoop:
    """What came of one loop."""

    trees: dict[str, bytes]
    network: bytes
    figures: dict[str, object]
    measured: Traffic


def loop(folder: Path, concurrency: int, parts: bool) -> SeededLoop:
    """Serve, act, train both rankers, publish them whatever the gates say, and serve others."""
    world = World.make(5, pins=1500, boards=400, users=120)
    opened = open_project(world.write(folder, SMALL))
    process = opened.new_process()
    clients = {name: opened.clients[name] for name in MIX}
    build_catalog(opened.project, process.store)
    train, held_out = split_users(world)
    with InProcess(opened) as local:
        users = Simulator(world, URL, transport=local.transport)
        for day in range(2):
            users.run(SimulationPlan(train, 120, day, 1.0, (RANKED,), MIX, day, concurrency))
            if parts:
                local.flush()
        local.flush()
        light = train_all_lightweight(opened.project, clients, process.store, process.logs)
        for name, outcome in light.items():
            process.store.publish(kinds.lightweight(name), str(outcome.version))
        full = train_full_ranker(opened.project, clients, process.store, process.logs, num_workers=0)
        process.store.publish(kinds.FULL, full.version)
        local.swap()
        measured = users.run(SimulationPlan(held_out, 60, 2.0, 1.0, (RANKED,), MIX, 7, concurrency))
    trees = {name: (process.store.open(kinds.lightweight(name)).path / "model.ubj").read_bytes() for name in light}
    network = (process.store.open(kinds.FULL).path / "weights.pt").read_bytes()
    figures = {name: outcome.metrics for name, outcome in light.items()} | {"full": full.metrics}
    return SeededLoop(trees, network, figures, measured)


@pytest.mark.usefixtures("ray_session")
def test_what_came_first_changes_nothing(tmp_path: Path) -> None:
    one, other = loop(tmp_path / "one", 1, False), loop(tmp_path / "other", 8, True)
    assert one.trees == other.trees
    assert one.network == other.network
    assert repr(one.figures) == repr(other.figures)
    assert one.measured.did.sum() > 0
    for name in ("requests", "shown", "did", "expected"):
        assert np.array_equal(getattr(one.measured, name), getattr(other.measured, name)), name
