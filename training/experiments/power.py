"""How many users an experiment needs to find an effect, and which effects it finds: from the variance that a log has.

For a figure whose units have the coefficient of variation `cv` (standard deviation of the linearised units by their
mean), arms of n1 and n2 units measure a lift's logarithm with the error cv * sqrt(1 / n1 + 1 / n2). An effect is found
with chance `power` when it is as large as what the interval reaches, and a normal quantile more. Of always-valid
intervals this is the chance at the last look alone; looks before it only add to it. NumPy and SciPy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from training.experiments.confidence import Confidence
from training.experiments.lifts import UnitRatio, adjustments, figure_of
from training.experiments.unit_moments import UnitMoments


def variation(units: UnitMoments, figure: UnitRatio, covariates: Sequence[int] = ()) -> float:
    """The coefficient of variation of a figure's units, after CUPED where `covariates` are given. NaN where unknown."""
    plain = figure_of(units, figure)
    if not plain.value > 0:
        return float("nan")
    after = plain
    if covariates:
        [(_, past)] = adjustments([units], figure, covariates)
        after = figure_of(units, figure, past)
    return float(np.sqrt(after.variance * units.n) / plain.value)


def smallest_effect(cv: float, units: Sequence[float], confidence: Confidence, power: float = 0.8) -> float:
    """The lift that is found with chance `power` by arms of so many units (control first, one treatment)."""
    error = cv * np.sqrt(sum(1 / n for n in units)) if min(units) > 0 else np.nan
    return float(np.expm1((confidence.reach(error) + stats.norm.ppf(power)) * error))


def units_needed(cv: float, effect: float, confidence: Confidence, power: float = 0.8) -> float:
    """Units in each of two equal arms that find a lift of `effect`, above or below 0, with chance `power`."""
    wanted = abs(np.log1p(effect))
    if not (np.isfinite(cv) and wanted > 0):
        return float("nan")

    def beyond(log_error: float) -> float:
        error = np.exp(log_error)
        return float((confidence.reach(error) + stats.norm.ppf(power)) * error - wanted)

    error = np.exp(optimize.brentq(beyond, np.log(wanted) - 12, np.log(wanted) + 3))
    return float(np.ceil(2 * (cv / error) ** 2))


@dataclass(frozen=True)
class EffectPower:
    """How often an effect is found: of always-valid intervals, at the last look."""

    effect: float
    power: float


def chance_of(effect: float, cv: float, units: Sequence[float], confidence: Confidence) -> EffectPower:
    """With arms of so many units."""
    error = cv * np.sqrt(sum(1 / n for n in units))
    return EffectPower(effect, float(stats.norm.cdf(abs(np.log1p(effect)) / error - confidence.reach(error))))
