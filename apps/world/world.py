"""The synthetic world as a user would hand it over: Parquet files and a `pinfunnel.yaml`. Knows nothing of Ray or HTTP.

`World.make` draws the hidden truth and what follows from it (saves on boards, actions from before the funnel);
`World.write` writes only what a real site could observe: noisy, partly missing columns. docs/world.md has the reasons.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from apps.world.actions import ActionModel
from apps.world.latent import DEVICES, FORMATS, LOCALES, NO_LOCALE, TOPICS, Latent, draw_latent
from apps.world.past import Edges, PastActions, draw_past_actions, draw_saves
from cluster.data.schema import TIMESTAMP

DAY_ZERO = datetime(2025, 1, 6, tzinfo=UTC)
"""The funnel starts on this Monday; every input lies before it."""


@dataclass(frozen=True)
class World:
    """A seeded world; ids are what files and the API carry, indices are rows of the hidden arrays."""

    seed: int
    latent: Latent = field(repr=False)
    edges: Edges = field(repr=False)
    history: PastActions = field(repr=False)
    pin_ids: np.ndarray = field(repr=False)
    board_ids: np.ndarray = field(repr=False)
    user_ids: np.ndarray = field(repr=False)
    ids: Literal["int64", "string"] = "int64"

    @classmethod
    def make(
        cls,
        seed: int = 0,
        pins: int = 20_000,
        boards: int = 5_000,
        users: int = 1_000,
        ids: Literal["int64", "string"] = "int64",
    ) -> "World":
        """The world of this seed and size; the same arguments give the same world."""
        rng = np.random.default_rng(seed)
        latent = draw_latent(rng, pins, boards, users)
        edges = draw_saves(rng, latent)
        history = draw_past_actions(rng, latent)
        return cls(
            seed,
            latent,
            edges,
            history,
            _ids("pin", pins, 10_000_000, ids),
            _ids("board", boards, 500_000, ids),
            _ids("user", users, 900_000, ids),
            ids,
        )

    def moment(self, day: float) -> datetime:
        """Day count to a UTC time."""
        return DAY_ZERO + timedelta(days=float(day))

    def write(self, folder: str | Path, settings: dict[str, Any] | None = None) -> Path:
        """Write edges/, pins/, users/, events/ and pinfunnel.yaml (its path is returned); `settings` are merged in.

        The noise of the observed columns depends on the seed alone.
        """
        folder = Path(folder)
        rng = np.random.default_rng([self.seed, 1])
        for name, table in (
            ("edges", self._edges_table()),
            ("pins", self._pins_table(rng)),
            ("users", self._users_table(rng)),
            ("events", self._events_table()),
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
            pq.write_table(table, folder / name / "part-0.parquet")
        project: dict[str, Any] = {
            "ids": self.ids,
            "data": {name: {"path": name} for name in ("edges", "pins", "users", "events")},
            "features": {
                "pin_numeric": ["image_quality", "headline_score", "text_length"],
                "pin_categorical": ["domain", "format"],
                "user_numeric": ["account_age_days"],
                "user_categorical": ["device"],
            },
            "serving": {"simulation": True},
        }
        for name, value in (settings or {}).items():
            inner = project.get(name)
            project[name] = inner | value if isinstance(inner, dict) and isinstance(value, dict) else value
        path = folder / "pinfunnel.yaml"
        path.write_text(yaml.safe_dump(project, sort_keys=False))
        return path

    def _edges_table(self) -> pa.Table:
        edges = self.edges
        return pa.table(
            {
                "board_id": pa.array(self.board_ids[edges.board]),
                "pin_id": pa.array(self.pin_ids[edges.pin]),
                "saved_at": _times(edges.day),
            }
        )

    def _pins_table(self, rng: np.random.Generator) -> pa.Table:
        pins = self.latent.pins
        n = len(self.pin_ids)
        wrong = rng.random(n) < 0.08  # mislabelled: the main topic is another one
        main = np.where(wrong, rng.integers(0, len(TOPICS), n), pins.main)
        second = np.where((pins.topics == 0.5).any(axis=1) & (rng.random(n) < 0.7), (pins.topics == 0.5).argmax(1), -1)
        unlabelled = rng.random(n) < 0.05
        topics = [
            [] if none else [TOPICS[a]] if b < 0 or b == a else [TOPICS[a], TOPICS[b]]
            for a, b, none in zip(main.tolist(), second.tolist(), unlabelled.tolist(), strict=True)
        ]
        image = 1.0 / (1.0 + np.exp(-(0.6 * pins.quality + 0.8 * rng.normal(size=n))))
        headline = 0.5 * pins.bait + 0.87 * rng.normal(size=n)
        return pa.table(
            {
                "pin_id": pa.array(self.pin_ids),
                "topics": pa.array(topics, pa.list_(pa.string())),
                "locale": pa.array([None if code == NO_LOCALE else LOCALES[code] for code in pins.locale], pa.string()),
                "created_at": _times(pins.created),
                "image_quality": pa.array(image, pa.float32(), mask=rng.random(n) < 0.1),
                "headline_score": pa.array(headline, pa.float32()),
                "text_length": pa.array(rng.lognormal(4.0, 0.7, n), pa.float32()),
                "domain": pa.array([f"site-{code:03d}.example" for code in pins.domain]),
                "format": pa.array([FORMATS[code] for code in pins.format]),
            }
        )

    def _users_table(self, rng: np.random.Generator) -> pa.Table:
        users = self.latent.users
        n = len(self.user_ids)
        declared = (users.interests > 0) & (rng.random(users.interests.shape) < 0.6)
        named = [[TOPICS[t] for t in np.flatnonzero(row)] for row in declared]
        hidden = rng.random(n) < 0.05
        return pa.table(
            {
                "user_id": pa.array(self.user_ids),
                "locale": pa.array([LOCALES[code] for code in users.locale], pa.string(), mask=hidden),
                "interests": pa.array(named, pa.list_(pa.string())),
                "account_age_days": pa.array(np.where(users.fresh, 0.0, rng.exponential(500.0, n)), pa.float32()),
                "device": pa.array([DEVICES[code] for code in users.device]),
            }
        )

    def _events_table(self) -> pa.Table:
        past = self.history
        return pa.table(
            {
                "event_id": pa.array([f"past-{self.seed}-{n}" for n in range(len(past.user))]),
                "user_id": pa.array(self.user_ids[past.user]),
                "pin_id": pa.array(self.pin_ids[past.pin]),
                "action": pa.array([ActionModel.actions[code] for code in past.action]),
                "occurred_at": _times(past.day),
            }
        )


def _ids(kind: str, n: int, first: int, ids: str) -> np.ndarray:
    if ids == "string":
        return np.array([f"{kind}-{first + 3 * i}" for i in range(n)], dtype=object)
    return first + 3 * np.arange(n, dtype=np.int64)


def _times(days: np.ndarray) -> pa.Array:
    start = int(DAY_ZERO.timestamp()) * 1_000_000
    return pa.array(start + (days * 86_400e6).astype(np.int64)).cast(TIMESTAMP)
