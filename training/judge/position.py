"""What a position in the answer did for an action, and what the action is worth without it: for both judges. NumPy.

People act more on what stands first, whatever it is, so the order that made a log would seem better than it is. An
action counts by 1 / what its position did for its chance (inverse propensity weights: Joachims, Swaminathan and
Schnabel, WSDM 2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.log.arrays import Request
from training.metrics.ranking import ideal_dcg

EXPLORED_ACTIONS = 100
"""Explored candidates with an action from which on exploration slots say what positions do."""

PRIOR_ACTIONS = 10.0
"""Expected actions of a bucket of positions at which its own rate counts as much as that of all positions."""


def position_lift(odds: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """By how much a position multiplied the chance of an action that has `chance` at an average position.

    `odds`: by how much it multiplied the odds; shapes as NumPy broadcasts them.
    """
    return np.asarray(odds / (1.0 + chance * (odds - 1.0)))


def without_position(labels: np.ndarray, lift: np.ndarray, worth: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    """Gains float[n] of a request's candidates with positions taken out, and what the request counts in a mean.

    `labels` float[n, A], `lift` float[n, A] by `position_lift`, `worth` float[A]. NDCG divides by what a request had
    to gain, so the request counts by how much its best order gains at `k` from these weights; 0 without a gain.
    """
    gain = (labels / lift) @ worth
    plain = ideal_dcg(labels @ worth, k)
    return gain, ideal_dcg(gain, k) / plain if plain > 0 else 0.0


@dataclass(frozen=True)
class PositionEffect:
    """By how much each position multiplied the chance of each action, about 1 on average over what was shown."""

    lift: np.ndarray  # float[P, A]; the last row stands for all positions behind it
    source: str  # where it is known from, for people

    def of(self, position: np.ndarray) -> np.ndarray:
        """float[n, A] at positions int[n]; 1 where nothing was shown."""
        found = self.lift[np.clip(position, 0, len(self.lift) - 1)]
        return np.where((position >= 0)[:, None], found, 1.0)


def no_effect(actions: int) -> PositionEffect:
    """Every position is worth the same."""
    return PositionEffect(np.ones((1, actions)), "nothing")


def bucket_of(position: np.ndarray) -> np.ndarray:
    """int[n] buckets of positions int[n] from 0, each twice as wide as the one before: 0, 1-2, 3-6, …"""
    return np.log2(position + 1.0).astype(np.int64)


def effect_in_exploration(requests: Sequence[Request], worth: np.ndarray) -> PositionEffect:
    """From exploration slots: candidates drawn at random, at positions drawn at random (serving.funnel.explore).

    There position alone decides how often an action of positive `worth` float[A] is done, so the rate at a position
    over that of all is what it did, alike for every action (the examination hypothesis). Rates of few cases are
    shrunk to that of all. No effect with fewer than `EXPLORED_ACTIONS` such actions.
    """
    drawn = [r.explored & (r.position >= 0) for r in requests]
    position = np.concatenate([r.position[d] for r, d in zip(requests, drawn, strict=True)] or [np.zeros(0, np.int16)])
    good = [(r.actions[d][:, worth > 0] > 0).any(axis=1) for r, d in zip(requests, drawn, strict=True)]
    acted = np.concatenate(good or [np.zeros(0, bool)])
    if acted.sum() < EXPLORED_ACTIONS:
        return no_effect(len(worth))
    bucket = bucket_of(position)
    shown, done = np.bincount(bucket), np.bincount(bucket, acted)
    lift = (done + PRIOR_ACTIONS) / (shown * acted.mean() + PRIOR_ACTIONS)
    by_position = lift[bucket_of(np.arange(position.max() + 1))]
    return PositionEffect(np.repeat(by_position[:, None], len(worth), axis=1), "exploration slots")


def action_rates(requests: Sequence[Request]) -> np.ndarray:
    """float[A]: how often each action is done with a candidate shown, over all requests (at least one)."""
    shown = np.concatenate([r.actions[r.position >= 0] for r in requests])
    rates: np.ndarray = (shown > 0).mean(axis=0) if len(shown) else np.zeros(shown.shape[1])
    return rates
