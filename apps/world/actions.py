"""The action model: the probability of each action when a pin is shown. Hidden from the funnel; NumPy only.

One person looks at a slot (position bias), and only then may hide the pin, open it (closeup), click, save, or, after a
click, stay (long_click). Every number below is a choice made before any comparison was run; reasons in docs/world.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.world.latent import NO_LOCALE, Latent
from cluster.errors import ConfigError
from cluster.settings.project import DEFAULT_ACTIONS


@dataclass(frozen=True)
class Taste:
    """How one action's logit depends on the pair of user and pin."""

    topic: float  # per unit of (affinity - 0.5); affinity lies in [0, 1]
    style: float  # per unit of cosine
    quality: float  # per standard deviation
    bait: float  # per standard deviation
    foreign: float  # added when the pin's text is in another language
    format: tuple[float, float, float]  # added for photo, video, article


TASTES: Mapping[str, Taste] = {
    "save": Taste(2.0, 1.0, 0.6, -0.2, -0.9, (0.1, -0.1, 0.0)),
    "click": Taste(1.6, 0.6, 0.35, 0.4, -0.9, (-0.2, -0.1, 0.5)),
    "closeup": Taste(1.2, 0.8, 0.4, 0.2, -0.4, (0.0, 0.4, -0.2)),
    "long_click": Taste(0.4, 0.2, 0.7, -0.7, -0.6, (-0.2, 0.1, 0.3)),  # given a click
    "hide": Taste(-1.5, -0.3, -0.5, 0.4, 0.6, (0.0, 0.0, 0.0)),
}


@dataclass(frozen=True)
class Habit:
    """One client's users: base logits of each action (long_click: given a click) and what else differs there."""

    base: Mapping[str, float]
    primary: str  # the action the surface is judged by
    position_decay: float  # a slot is looked at with probability (1 + position) ** -decay
    context_share: float  # weight of likeness to the query pins against the user's own taste
    freshness: float  # added to positive logits of a brand-new pin; decays over 30 days


HABITS: Mapping[str, Habit] = {
    "homefeed": Habit(
        {"save": -3.2, "click": -3.4, "closeup": -2.2, "long_click": -0.6, "hide": -5.2}, "save", 0.25, 0.0, 0.5
    ),
    "related_pins": Habit(
        {"save": -3.4, "click": -2.6, "closeup": -2.2, "long_click": -0.6, "hide": -5.4}, "click", 0.30, 0.7, 0.1
    ),
    "notifications": Habit(
        {"save": -3.8, "click": -2.4, "closeup": -2.6, "long_click": -0.3, "hide": -4.6}, "click", 0.60, 0.0, 0.6
    ),
    "search": Habit(
        {"save": -3.2, "click": -2.4, "closeup": -2.2, "long_click": 0.2, "hide": -5.6}, "long_click", 0.50, 0.8, 0.0
    ),
    "ads": Habit(
        {"save": -4.6, "click": -2.8, "closeup": -3.2, "long_click": -0.2, "hide": -3.9}, "long_click", 0.35, 0.3, 0.2
    ),
}
FRESH_DAYS = 30.0
FATIGUE = 0.7
"""Taken from positive logits (and half of it added to hide's) per log1p of earlier showings to this user."""
DESKTOP_STAY = 0.3
DESKTOP = 2


@dataclass(frozen=True)
class Showing:
    """One answer as a user sees it: pins in order, when, where, and from which query pins it came."""

    client: str
    user: int
    pins: np.ndarray  # int[n]: pin indices
    day: float  # days since day 0
    query_pins: np.ndarray  # int[Q]: indices of the pins on screen or of the search; may be empty
    seen: np.ndarray  # int[n]: how often this user was shown each pin before
    position: np.ndarray | None = None  # int[n]; default: 0, 1, 2, …


class ActionModel:
    """Probabilities and draws of actions over one hidden world."""

    actions = DEFAULT_ACTIONS

    def __init__(self, latent: Latent):
        self._latent = latent

    def looked(self, showing: Showing) -> np.ndarray:
        """Probability float64[n] that each slot is looked at."""
        position = np.arange(len(showing.pins)) if showing.position is None else showing.position
        return np.asarray((1.0 + position) ** -habit(showing.client).position_decay)

    def given_looked(self, showing: Showing) -> dict[str, np.ndarray]:
        """Probability float64[n] of each action's own draw once the slot is looked at; long_click is given a click."""
        own = habit(showing.client)
        pins = self._latent.pins
        users = self._latent.users
        shown = showing.pins
        user = showing.user
        topic = np.minimum(_dot(pins.topics[shown], users.interests[user]), 1.0)
        style = _dot(pins.style[shown], users.style[user])
        if own.context_share and len(showing.query_pins):
            near = np.minimum(_dot(pins.topics[shown], pins.topics[showing.query_pins].mean(axis=0)), 1.0)
            alike = _dot(pins.style[shown], pins.style[showing.query_pins].mean(axis=0))
            topic = (1 - own.context_share) * topic + own.context_share * near
            style = (1 - own.context_share) * style + own.context_share * alike
        foreign = (pins.locale[shown] != NO_LOCALE) & (pins.locale[shown] != users.locale[user])
        new = np.exp(np.minimum(pins.created[shown] - showing.day, 0.0) / FRESH_DAYS)
        tired = FATIGUE * np.log1p(showing.seen)
        out = {}
        for action, taste in TASTES.items():
            logit = own.base[action] + taste.topic * (topic - 0.5) + taste.style * style
            logit = logit + taste.quality * pins.quality[shown] + taste.bait * pins.bait[shown]
            logit = logit + taste.foreign * foreign + np.asarray(taste.format)[pins.format[shown]]
            if action == "hide":
                logit = logit + 0.5 * tired
            else:
                logit = logit + users.generosity[user] + own.freshness * new - tired
            if action == "long_click":
                logit = logit + DESKTOP_STAY * (users.device[user] == DESKTOP)
            out[action] = 1.0 / (1.0 + np.exp(-logit))
        return out

    def probabilities(self, showing: Showing) -> np.ndarray:
        """Marginal probability float64[n, A] of each action of `actions`, position bias included."""
        own = self.given_looked(showing)
        kept = self.looked(showing) * (1.0 - own["hide"])
        marginal = {name: kept * own[name] for name in ("save", "click", "closeup")}
        marginal["long_click"] = marginal["click"] * own["long_click"]
        marginal["hide"] = self.looked(showing) * own["hide"]
        return np.stack([marginal[name] for name in self.actions], axis=1)

    def sample(self, rng: np.random.Generator, showing: Showing) -> np.ndarray:
        """One draw of what the user does, bool[n, A]. A hidden pin gets no other action; long_click implies click."""
        own = self.given_looked(showing)
        n = len(showing.pins)
        looked = rng.random(n) < self.looked(showing)
        did = {name: looked & (rng.random(n) < own[name]) for name in self.actions}
        for name in ("save", "click", "closeup", "long_click"):
            did[name] &= ~did["hide"]
        did["long_click"] &= did["click"]
        return np.stack([did[name] for name in self.actions], axis=1)

    def utility(self, showing: Showing, weights: Mapping[str, float]) -> np.ndarray:
        """Expected utility float64[n] of each pin under a client's `utility` weights."""
        return np.asarray(self.probabilities(showing) @ [weights.get(name, 0.0) for name in self.actions])


def _dot(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """`rows @ vector` without BLAS: its threads cost more than products this small."""
    return np.einsum("nd,d->n", rows, vector)


def habit(client: str) -> Habit:
    """The client's habits. Raises ConfigError for a client whose users have none."""
    if client not in HABITS:
        raise ConfigError(f"the synthetic world has no habits for client '{client}'; it knows {', '.join(HABITS)}")
    return HABITS[client]
