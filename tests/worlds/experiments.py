"""A log of an experiment as serving writes it, with few candidates and no features that anybody reads."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.data.schema import IMPRESSED, RANKED, event_schema, serving_schema
from cluster.experiments.assignment import arm_of, exposure_of
from cluster.experiments.definition import Experiment
from cluster.features.assemble import FeatureSet
from cluster.settings.project import Project
from cluster.store.home import logs_of
from cluster.store.logs import LogStore
from tests.worlds.logs import project_at
from training.experiments.trial import TrialSettings

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
SIZE = 6
SHOWN = 4


@dataclass
class TrialWorld:
    """A project whose log has an experiment, and what is known of it, by user."""

    project: Project
    logs: LogStore
    experiment: Experiment
    saves: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    shown: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    before: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    arms: dict[int, str] = field(default_factory=dict)


def experiment_of(name: str = "more", **changes: Any) -> Experiment:
    """Two arms on homefeed."""
    arms = {"control": {}, "treatment": {"set": {"sizes.explore": 1}}}
    return Experiment(**{"name": name, "clients": ("homefeed",), "arms": arms, "guardrails": ("hide",), **changes})


def trial_of(world: TrialWorld, **changes: object) -> TrialSettings:
    """What a report needs of it."""
    one = world.experiment
    told = {
        "name": one.name, "clients": one.clients, "arms": one.shares, "action": "save", "design": one.design,
        "traffic": one.traffic, "guardrails": ("hide", "save", "milliseconds", "degraded"), "minutes": 60,
    }  # fmt: skip
    return TrialSettings(**{**told, **changes})  # type: ignore[arg-type]


def trial_world(
    home: Path,
    experiment: Experiment,
    users: int = 300,
    days: int = 4,
    effect: float = 0.5,
    seed: int = 0,
    project: Project | None = None,
) -> TrialWorld:
    """Users come most days; the treatment's users save more often. Some did something in the days before."""
    project = project or project_at(home)
    world = TrialWorld(project, logs_of(project), experiment)
    features = FeatureSet.of(project.features)
    rng = np.random.default_rng(seed)
    liked = rng.lognormal(-2.0, 0.7, users)
    events: list[tuple[Any, ...]] = []
    for user in range(users):
        for number in range(int(rng.poisson(20 * liked[user]))):
            when = BEGIN - timedelta(hours=float(rng.uniform(1, 24 * 10)))
            events.append((user, 7, "save", when, f"past-{user}-{number}", None, None, when))
            world.before[user] += 1
    for day in range(days):
        rows = []
        for user in rng.permutation(users).tolist():
            if rng.random() < 0.3:
                continue
            at = BEGIN + timedelta(days=day, minutes=float(rng.uniform(0, 24 * 60)))
            row = _row(experiment, user, at, day, features, rng)
            rows.append(row)
            arm = arm_of(experiment, user, int(at.timestamp() * 1e6))
            if arm < 0:
                continue
            name = list(experiment.arms)[arm]
            world.arms[user] = name
            world.shown[user] += SHOWN
            chance = min(liked[user] * (1 + effect * (name != experiment.control)), 0.9)
            for pin, position, team in zip(row["pin_id"], row["position"], row["team"] or SIZE * [0], strict=True):
                more = 1 + effect * (experiment.design == "interleaving" and team == 1)
                if position >= 0 and rng.random() < chance * more:
                    when = at + timedelta(seconds=30)
                    key = f"{row['request_id']}-{pin}"
                    events.append((user, pin, "save", when, key, row["request_id"], "homefeed", when))
                    world.saves[user] += 1
        world.logs.write_serving(pa.Table.from_pylist(rows, serving_schema(project.ids)), features)
    columns = zip(*events, strict=True)
    schema = event_schema(project.ids)
    parts = [pa.array(list(values), of.type) for values, of in zip(columns, schema, strict=True)]
    world.logs.write_events(pa.table(parts, schema=schema))
    return world


def _row(
    experiment: Experiment, user: int, at: datetime, day: int, features: FeatureSet, rng: np.random.Generator
) -> dict[str, Any]:
    arm = arm_of(experiment, user, int(at.timestamp() * 1e6))
    shown = rng.permutation(SIZE)[:SHOWN]
    position = np.full(SIZE, -1)
    position[shown] = np.arange(SHOWN)
    team = np.full(SIZE, -1)
    team[shown] = rng.permutation([0, 1] * (SHOWN // 2))
    stage = np.full(SIZE, RANKED)
    stage[shown] = IMPRESSED
    return {
        "request_id": f"{experiment.name}-{experiment.salt}-{user}-{day}", "client": "homefeed", "user_id": user,
        "requested_at": at,
        "experiment": "", "exposure": list(exposure_of(experiment, arm)), "milliseconds": float(rng.gamma(4.0, 5.0)),
        "degraded": "", "graph_version": "g1", "schema_hash": features.schema_hash,
        "pin_id": (100 + rng.permutation(50)[:SIZE]).tolist(), "stage": stage.tolist(), "position": position.tolist(),
        "team": team.tolist() if experiment.design == "interleaving" and arm >= 0 else [],
        "explored": [False] * SIZE, "explored_dropped": [], "visit_score": [1.0] * SIZE,
        "sequence_action": ["save"], "sequence_age_hours": [float(rng.uniform(0, 300))],
    }  # fmt: skip
