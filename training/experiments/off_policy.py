"""What another way to fill the explored slots would have been worth: from the draws that were logged with their
chances.

`serving/funnel/explore.py` gives some slots of an answer to pins drawn from behind the ranking's best, every survivor
there with the same chance `explored_rate` (and dropped ones with `dropped_rate`), at positions drawn at random. So the
log can value any rule that chooses which of those same pins fill those same slots, as long as

- it knows no more than was logged with the request, and gives each pin a chance of its own;
- what a user does with a pin does not hang on which other pins were drawn, nor the rule on positions.

It cannot value another order of the ranking's best: those were shown with certainty, each at its own position. Nor
pins that could not be drawn. Estimators: inverse propensity (Horvitz and Thompson), self-normalised (Swaminathan and
Joachims, NIPS 2015), doubly robust (Dudik, Langford and Li, ICML 2011). NumPy only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.experiments.confidence import Confidence
from training.experiments.lifts import FEWEST_UNITS, UnitRatio, figure_of
from training.experiments.unit_moments import UnitMoments

Estimator = Literal["ips", "self_normalised", "doubly_robust"]
ESTIMATORS: tuple[Estimator, ...] = ("ips", "self_normalised", "doubly_robust")


@dataclass(frozen=True)
class LoggedDraws:
    """D pins that were drawn, over R requests of U users, and what a rule would do with them."""

    request: np.ndarray  # int[D], row of the request
    propensity: np.ndarray  # float[D] in (0, 1]: the chance that it was drawn
    chance: np.ndarray  # float[D] in [0, 1]: the chance that the rule shows it
    reward: np.ndarray  # float[D]: what the user did
    user: np.ndarray  # int[R], from 0
    slots: (
        np.ndarray
    )  # float[R]: pins that the rule shows, in the mean: the sum of its chances over all that it may show
    predicted: np.ndarray | None = None  # float[D]: a guess of the reward, made without this request
    promised: np.ndarray | None = None  # float[R]: the sum of chance times guess over all that the rule may show

    @property
    def weight(self) -> np.ndarray:
        """float[D]: how much more often the rule shows what was drawn."""
        return self.chance / self.propensity

    @property
    def effective(self) -> float:
        """Draws that as many equally weighted ones would tell as much as (Kish)."""
        weight = self.weight
        return float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0


@dataclass(frozen=True)
class PolicyValue:
    """Rewards a slot under the rule, with an interval; users, not draws, vary independently."""

    value: float
    low: float
    high: float
    error: float
    effective: float


def policy_value(draws: LoggedDraws, estimator: Estimator, confidence: Confidence | None = None) -> PolicyValue:
    """By one of the estimators. Doubly robust needs `predicted` and `promised`. NaN of too few users."""
    requests = len(draws.slots)
    weight = draws.weight
    gained = weight * draws.reward
    over = draws.slots
    top = np.bincount(draws.request, gained, requests)
    if estimator == "self_normalised":
        over = np.bincount(draws.request, weight, requests)
    elif estimator == "doubly_robust":
        if draws.predicted is None or draws.promised is None:
            raise ValueError("doubly robust: needs guesses of the rewards")
        top = draws.promised + np.bincount(draws.request, weight * (draws.reward - draws.predicted), requests)
    users = int(draws.user.max(initial=-1)) + 1
    rows = np.stack([np.bincount(draws.user, part, users) for part in (top, over)], axis=1)
    found = figure_of(UnitMoments.of(rows), UnitRatio("reward a slot", 0, 1))
    error = float(np.sqrt(found.variance)) if found.n >= FEWEST_UNITS else float("nan")
    sure = confidence or Confidence()
    reach = sure.reach(error, found.n - 1) * error if error > 0 else float("nan")
    return PolicyValue(found.value, found.value - reach, found.value + reach, error, draws.effective)
