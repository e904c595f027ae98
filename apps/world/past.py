"""What happened in the synthetic world before day 0: saves of pins to boards, and what users did. NumPy only.

Both follow from the hidden truth (apps/world/latent.py); reasons in docs/world.md.
"""

from dataclasses import dataclass

import numpy as np

from apps.world.actions import ActionModel, Showing
from apps.world.latent import LOCALES, TOPICS, Latent, save_logits

HISTORY_DAYS = 30.0


@dataclass(frozen=True)
class Edges:
    """Saves of pins to boards: indices and days (before 0)."""

    board: np.ndarray  # int32[e]
    pin: np.ndarray  # int32[e]
    day: np.ndarray  # float64[e]


@dataclass(frozen=True)
class PastActions:
    """Actions from before the funnel, oldest first."""

    user: np.ndarray  # int32[h]
    pin: np.ndarray  # int32[h]
    action: np.ndarray  # int8[h]: index into ActionModel.actions
    day: np.ndarray  # float64[h]


def draw_saves(rng: np.random.Generator, latent: Latent) -> Edges:
    """Each board collects from its topics without repeats (Gumbel top-k), with a few pins from anywhere."""
    pins = latent.pins
    boards = latent.boards
    pools = [np.flatnonzero(pins.topics[:, topic] > 0) for topic in range(len(TOPICS))]
    picked = []
    owner = []
    for board in range(len(boards.main)):
        size = int(boards.size[board])
        main = int(boards.main[board])
        second = int(boards.second[board])
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
    pin = np.concatenate(picked).astype(np.int32)
    board_of = np.concatenate(owner).astype(np.int32)
    first = np.maximum(pins.created[pin], boards.created[board_of])
    return Edges(board_of, pin, first * rng.random(len(pin)))


def draw_past_actions(rng: np.random.Generator, latent: Latent) -> PastActions:
    """What users did in the month before day 0, when they browsed by topic and popularity."""
    model = ActionModel(latent)
    pins = latent.pins
    users = latent.users
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
    return PastActions(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.array(columns[2], np.int8),
        np.array(columns[3], np.float64),
    )
