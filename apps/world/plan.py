"""A stretch of simulated traffic as a plan: which users come when, to which client, in which arm of an experiment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from apps.world.world import World
from cluster.errors import ConfigError

MIX: Mapping[str, float] = {"homefeed": 0.15, "related_pins": 0.15, "notifications": 0.2, "search": 0.2, "ads": 0.3}
"""Share of requests by client: more where an answer is short, so that every client gathers actions."""


@dataclass(frozen=True)
class Arm:
    """One side of an experiment: its label in the logs and the order it asks for."""

    name: str
    order: Literal["ranked", "visit_count"]


VISIT_COUNT = Arm("visit_count", "visit_count")
RANKED = Arm("ranked", "ranked")


@dataclass(frozen=True)
class SimulationPlan:
    """A stretch of traffic. Each user's requests of one client go through `arms` in turn."""

    users: np.ndarray  # world indices
    requests: int
    start_day: float
    days: float
    arms: tuple[Arm, ...] = (RANKED,)
    mix: Mapping[str, float] | None = None  # share of requests by client; default MIX
    seed: int = 0
    concurrency: int = 8


@dataclass(frozen=True)
class Visit:
    """One request to come."""

    number: int
    user: int
    client: str
    arm: Arm
    day: float


def split_users(world: World, held_out: float = 0.4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of (train users, held-out users), drawn at random and disjoint."""
    order = np.random.default_rng([seed, 7]).permutation(len(world.user_ids))
    cut = len(order) - round(held_out * len(order))
    return np.sort(order[:cut]), np.sort(order[cut:])


def schedule(world: World, plan: SimulationPlan) -> list[Visit]:
    """Who comes when, to which client, in which arm, in order of time. Active users come more often."""
    if not len(plan.users) or not plan.arms or plan.requests < 1 or plan.days <= 0:
        raise ConfigError("a traffic plan needs users, arms, at least one request, and a length above 0 days")
    mix = plan.mix or MIX
    rng = np.random.default_rng([plan.seed, 11])
    activity = world.latent.users.activity[plan.users]
    user = rng.choice(plan.users, plan.requests, p=activity / activity.sum())
    names = list(mix)
    share = np.array(list(mix.values()), np.float64)
    client = rng.choice(len(names), plan.requests, p=share / share.sum())
    day = np.sort(plan.start_day + plan.days * rng.random(plan.requests))
    turn: dict[tuple[int, int], int] = {}
    visits = []
    for number, (who, where) in enumerate(zip(user.tolist(), client.tolist(), strict=True)):
        at = turn.setdefault((who, where), int(rng.integers(len(plan.arms))))
        turn[who, where] = at + 1
        visits.append(Visit(number, who, names[where], plan.arms[at % len(plan.arms)], float(day[number])))
    return visits
