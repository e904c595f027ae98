"""Synthetic serving and event logs, written to the schema: what people do follows a known rule of logged features.

`visit` order is nearly useless, `cross_history_topic` decides saves, `graph_lift` a little: a trained ranker must win.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.data.schema import IMPRESSED, RANKED, WALKED, event_schema, serving_schema
from cluster.features.assemble import FeatureSet
from cluster.settings.clients import Client, LabelSettings, StageSizes
from cluster.settings.project import DataSettings, GbdtSettings, Project, RankerSettings, Source
from cluster.store.home import logs_of
from cluster.store.logs import LogStore

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class LogsWorld:
    """A project with its clients and a filled log."""

    project: Project
    clients: dict[str, Client]
    logs: LogStore
    features: FeatureSet


def project_at(home: Path, /, **changes: object) -> Project:
    """A project that needs no input files."""
    settings = {
        "home": str(home),
        "data": DataSettings(edges=Source(path=str(home / "edges"))),
        "gbdt": GbdtSettings(rounds=40, early_stopping_rounds=5, max_depth=3, min_child_weight=1.0),
        "ranker": RankerSettings(size="debug", epochs=12, batch_requests=16, learning_rate=4e-3),
    }
    return Project(**{**settings, **changes})


def make_world(
    home: Path,
    names: tuple[str, ...] = ("homefeed", "notifications"),
    requests: int = 240,
    n: int = 60,
    days: int = 2,
    seed: int = 0,
    strategy: str = "funnel_blended",
    project: Project | None = None,
) -> LogsWorld:
    """Write `requests` requests of `n` candidates for each client, spread over `days` days, and their events."""
    project = project or project_at(home)
    logs = LogStore(home / "logs") if "://" not in project.home else logs_of(project)
    features = FeatureSet.of(project.features)
    sizes = StageSizes(walk=n, lightweight=n // 2, answer=10, explore=1)
    clients = {c: Client(name=c, sizes=sizes, labels=LabelSettings(strategy=strategy)) for c in names}
    rng = np.random.default_rng(seed)
    for client in names:
        for day in range(days):
            served, events = _day(client, day, requests // days, timedelta(hours=24) * day, n, features, project, rng)
            logs.write_serving(served, features)
            logs.write_events(events)
    return LogsWorld(project, clients, logs, features)


def _day(
    client: str,
    day: int,
    requests: int,
    offset: timedelta,
    n: int,
    features: FeatureSet,
    project: Project,
    rng: np.random.Generator,
) -> tuple[pa.Table, pa.Table]:
    rows, events = [], []
    names = features.candidate
    topic, lift, local = (names.index(f) for f in ("cross_history_topic", "graph_lift", "cross_locale_match"))
    score_at, age = names.index("graph_score"), names.index("pin_age_days")
    for i in range(requests):
        at = START + offset + timedelta(seconds=30 * i)
        request_id = f"{client}-{day}-{i:05d}"
        user = int(rng.integers(0, 40))
        visits = np.sort(rng.gamma(1.0, 50.0, n).astype(np.float32))[::-1]
        block = rng.random((n, len(names))).astype(np.float32)
        block[:, score_at] = np.log1p(visits)
        block[:, local] = rng.integers(0, 2, n)
        block[rng.random(n) < 0.2, age] = np.nan
        wish = 6.0 * (block[:, topic] - 0.75) + 1.0 * (block[:, lift] - 0.5)
        chance = 1.0 / (1.0 + np.exp(-wish + 1.0))
        explored = np.zeros(n, bool)
        position = np.full(n, -1, np.int16)
        shown = (
            rng.permutation(n // 2)[:10] if i % 2 else np.arange(10)
        )  # half of the log is shuffled, half visit order
        position[shown] = np.arange(10)
        explored[shown[-1]] = True
        stage = np.where(np.arange(n) < n // 2, RANKED, WALKED).astype(np.int8)
        stage[shown] = IMPRESSED
        full = np.where(stage >= RANKED, chance + rng.normal(0, 0.05, n), np.nan).astype(np.float32)
        pins = rng.choice(5000, n, replace=False).astype(np.int64)
        shared = rng.random(len(features.shared)).astype(np.float32)
        history = rng.choice(5000, 5).astype(np.int64)
        rows.append(
            {
                "request_id": request_id, "client": client, "user_id": user, "requested_at": at, "experiment": "",
                "degraded": "", "graph_version": "g1", "lightweight_version": None, "full_version": None,
                "schema_hash": features.schema_hash, "user_locale": "de",
                "query_pin_id": history[:2].tolist(), "query_weight": [1.0, 0.5],
                "sequence_pin_id": history.tolist(), "sequence_action": ["save"] * 5, "sequence_client": [client] * 5,
                "sequence_age_hours": [1.0, 2.0, 3.0, 4.0, 5.0], "pin_id": pins.tolist(), "stage": stage.tolist(),
                "position": position.tolist(), "explored": explored.tolist(), "visit_score": visits.tolist(),
                "lightweight_score": [None] * n, "full_score": [None if np.isnan(v) else float(v) for v in full],
                "shared_features": shared.tolist(), "candidate_features": block.ravel().tolist(),
            }
        )  # fmt: skip
        for j in shown:
            action = "save" if rng.random() < chance[j] else "hide" if rng.random() < 0.03 else None
            if action:
                when = at + timedelta(seconds=20)
                events.append((user, int(pins[j]), action, when, f"{request_id}-{j}", request_id, client, when))
    served = pa.Table.from_pylist(rows, serving_schema(project.ids))
    columns = list(zip(*events, strict=True))
    schema = event_schema(project.ids)
    return served, pa.table([pa.array(list(c), f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
