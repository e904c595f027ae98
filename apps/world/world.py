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

from apps.world.actions import ActionModel, Showing
from apps.world.latent import DEVICES, FORMATS, LOCALES, NO_LOCALE, TOPICS, Latent, draw_latent, save_logits
from cluster.data.schema import TIMESTAMP

DAY_ZERO = datetime(2025, 1, 6, tzinfo=UTC)
"""The funnel starts on this Monday; every input lies before it."""
HISTORY_DAYS = 30.0


@dataclass(frozen=True)
class Edges:
    """Saves of pins to boards: indices and days (before 0)."""

    board: np.ndarray  # int32[e]
    pin: np.ndarray  # int32[e]
    day: np.ndarray  # float64[e]


@dataclass(frozen=True)
class History:
    """Actions from before the funnel, oldest first."""

    user: np.ndarray  # int32[h]
    pin: np.ndarray  # int32[h]
    action: np.ndarray  # int8[h]: index into ActionModel.actions
    day: np.ndarray  # float64[h]


@dataclass(frozen=True)
class World:
    """A seeded world; ids are what files and the API carry, indices are rows of the hidden arrays."""

    seed: int
    latent: Latent = field(repr=False)
    edges: Edges = field(repr=False)
    history: History = field(repr=False)
    pin_ids: np.ndarray = field(repr=False)
    board_ids: np.ndarray = field(repr=False)
    user_ids: np.ndarray = field(repr=False)
    ids: Literal["int64", "string"] = "int64"

    @classmethod
    def make(
        cls, seed: int = 0, pins: int = 20_000, boards: int = 5_000, users: int = 1_000,
        ids: Literal["int64", "string"] = "int64",
    ) -> "World":  # fmt: skip
        """The world of this seed and size; the same arguments give the same world."""
        rng = np.random.default_rng(seed)
        latent = draw_latent(rng, pins, boards, users)
        edges = _save(rng, latent)
        history = _browse(rng, latent)
        return cls(
            seed, latent, edges, history, _ids("pin", pins, 10_000_000, ids), _ids("board", boards, 500_000, ids),
            _ids("user", users, 900_000, ids), ids,
        )  # fmt: skip

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


def _save(rng: np.random.Generator, latent: Latent) -> Edges:
    """Each board collects from its topics without repeats (Gumbel top-k), with a few pins from anywhere."""
    pins, boards = latent.pins, latent.boards
    pools = [np.flatnonzero(pins.topics[:, topic] > 0) for topic in range(len(TOPICS))]
    picked, owner = [], []
    for board in range(len(boards.main)):
        size, main, second = int(boards.size[board]), int(boards.main[board]), int(boards.second[board])
        off = rng.integers(0, len(pins.main), rng.binomial(size, 0.08))
        from_second = round(0.25 * size) if second >= 0 else 0
        parts = [off]
        for topic, wanted in ((main, size - len(off) - from_second), (second, from_second)):
            pool = pools[topic]
            if wanted > 0 and len(pool):
                logits = save_logits(pins, pool, boards.style[board], int(boards.locale[board]))
                keys = logits + rng.gumbel(size=len(pool))
                wanted = min(wanted, len(pool))
                parts.append(pool[np.argpartition(-keys, wanted - 1)[:wanted]])
        chosen = np.unique(np.concatenate(parts))
        picked.append(chosen)
        owner.append(np.full(len(chosen), board))
    pin, board_of = np.concatenate(picked).astype(np.int32), np.concatenate(owner).astype(np.int32)
    first = np.maximum(pins.created[pin], boards.created[board_of])
    return Edges(board_of, pin, first * rng.random(len(pin)))


def _browse(rng: np.random.Generator, latent: Latent) -> History:
    """What users did in the month before day 0, when they browsed by topic and popularity."""
    model, pins, users = ActionModel(latent), latent.pins, latent.users
    pools = [np.flatnonzero(pins.main == topic) for topic in range(len(TOPICS))]
    no_style = np.zeros(pins.style.shape[1], np.float32)
    ladder = {  # cumulative chance of each pin of a topic's pool to come before a reader of a locale
        (topic, locale): np.cumsum(np.exp(save_logits(pins, pool, no_style, locale)))
        for topic, pool in enumerate(pools)
        for locale in range(len(LOCALES))
    }
    rows: list[tuple[int, int, int, float]] = []
    for user in np.flatnonzero(~users.fresh).tolist():
        looked_at = int(np.clip(rng.lognormal(4.2, 0.6), 10, 400))
        mix = 0.85 * users.interests[user] / users.interests[user].sum() + 0.15 / len(TOPICS)
        shown = []
        for topic, wanted in enumerate(rng.multinomial(looked_at, mix / mix.sum()).tolist()):
            pool = pools[topic]
            if wanted and len(pool):
                steps = ladder[topic, int(users.locale[user])]
                shown.append(pool[np.searchsorted(steps, rng.random(wanted) * steps[-1], side="right")])
        seen = np.concatenate(shown)
        # a pin cannot be looked at before it exists
        day = np.maximum(-HISTORY_DAYS * rng.random(len(seen)), pins.created[seen] * rng.random(len(seen)))
        zero = np.zeros(len(seen), np.int64)
        did = model.sample(rng, Showing("homefeed", user, seen, -HISTORY_DAYS / 2, zero[:0], zero, zero))
        at, action = np.nonzero(did)
        rows.extend(zip([user] * len(at), seen[at].tolist(), action.tolist(), day[at].tolist(), strict=True))
    rows.sort(key=lambda row: row[3])
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    return History(
        np.array(columns[0], np.int32), np.array(columns[1], np.int32), np.array(columns[2], np.int8),
        np.array(columns[3], np.float64),
    )  # fmt: skip
