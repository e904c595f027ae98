"""Interleaving: of two orders whose pins were drafted into one answer, whose pins do users act on?

A user's credits are the actions on the pins that each order's team brought. The teams draft alike (Radlinski, Kurup and
Joachims, CIKM 2008), so with equal orders both earn alike; users, not pins, are what varies independently. NumPy only.
"""

from dataclasses import dataclass

import numpy as np

from training.experiments.confidence import Confidence
from training.experiments.lifts import FEWEST_UNITS, Lift
from training.experiments.unit_moments import UnitMoments


@dataclass(frozen=True)
class Preference:
    """The share of credits that went to the treatment's pins, and the same as a lift of credits over the control's."""

    share: float
    low: float
    high: float
    lift: Lift

    def to_dict(self) -> dict[str, float | dict[str, float | None] | None]:
        """JSON-able; unknown figures are None."""
        known = {name: getattr(self, name) for name in ("share", "low", "high")}
        return {n: (v if np.isfinite(v) else None) for n, v in known.items()} | {"lift": self.lift.to_dict()}


def preference(users: UnitMoments, control: int, treatment: int, confidence: Confidence) -> Preference:
    """From units that are users; `control` and `treatment` are the columns of their credits."""
    mean = users.mean
    nothing = float("nan")
    before, after = float(mean[control]), float(mean[treatment])
    unknown = Lift(before, after, nothing, nothing, nothing, nothing)
    if users.n < FEWEST_UNITS or not (before > 0 and after > 0):
        return Preference(after / (before + after) if before + after > 0 else nothing, nothing, nothing, unknown)
    along = np.zeros(len(mean))
    along[treatment] = 1 / after
    along[control] = -1 / before
    error = float(np.sqrt(max(along @ users.covariance @ along, 0.0) / users.n))
    reach = confidence.reach(error, users.n - 1) * error
    odds = after / before * np.exp([-reach, 0.0, reach])
    low, share, high = (float(one) for one in odds / (1 + odds))
    lift = Lift(before, after, float(odds[1] - 1), float(odds[0] - 1), float(odds[2] - 1), error)
    return Preference(share, low, high, lift)
