"""What benches of the closed loop share: a world with its project, arms that start from one state, and their visits."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.project import Opened, open_project
from apps.world.in_process import URL, InProcess
from apps.world.plan import Arm, SimulationPlan
from apps.world.simulate import Simulator
from apps.world.traffic import Traffic
from apps.world.world import World
from cluster.catalog.build import build_catalog
from cluster.settings.clients import Client
from training.judge.gate import Gate

DRAWN = Arm("drawn", "ranked")
NO_SAY = Gate(min_requests=10**9)
"""Refuses every model and so holds no client back; the bench publishes it all the same."""


@dataclass(frozen=True)
class Size:
    """World and traffic of one seed."""

    pins: int = 20_000
    boards: int = 5_000
    users: int = 1_000
    cold: int = 3_000
    warm: int = 2_500
    measured: int = 1_500  # of each arm


def open_world(seed: int, size: Size, folder: Path, serving: Mapping[str, object]) -> tuple[World, Opened]:
    """A world and its project in a new `folder`, with these serving settings and a graph."""
    folder.mkdir(parents=True)
    world = World.make(seed, size.pins, size.boards, size.users)
    opened = open_project(world.write(folder, {"home": "home", "serving": {"simulation": True, **serving}}))
    build_catalog(opened.project, opened.new_process().store)
    return world, opened


def copied(opened: Opened, folder: Path, clients: Mapping[str, Client]) -> Opened:
    """A project of its own in a new `folder`, with these clients, that starts from the same bundles and logs."""
    shutil.copytree(opened.project.home, folder)
    return Opened(opened.project.model_copy(update={"home": str(folder)}), dict(clients))


def visits(world: World, arm: Opened, come: SimulationPlan) -> Traffic:
    """What the users of a plan do with one arm's answers, over the API in process."""
    with InProcess(arm) as app:
        return Simulator(world, URL, transport=app.transport).run(come)
