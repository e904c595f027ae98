"""How much more of something a treatment has than its control: ratios of means with delta-method intervals, and CUPED.

A figure is a sum over units divided by another one (pins saved by pins shown), or by the number of units (saves a
user). Its variance is that of the linearised units (Deng, Knoblich and Lu, "Applying the delta method in metric
analytics", KDD 2018), so that a user's many pins count as one. CUPED (Deng, Xu, Kohavi and Walker, WSDM 2013) takes
away what the units' own past explains. A lift is the ratio of two arms less 1; its interval is that of the ratio's
logarithm. NumPy only.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from training.experiments.confidence import Confidence
from training.experiments.unit_moments import UnitMoments

UNKNOWN = float("nan")

FEWEST_UNITS = 10
"""In each arm; below, no interval can be trusted and none is given."""

FEWEST_EVENTS = 10
"""Of what is counted, in both arms together; the same."""


@dataclass(frozen=True)
class UnitRatio:
    """A figure by its columns among the units': `top` divided by `bottom`, or by the number of units."""

    name: str
    top: int
    bottom: int | None = None


@dataclass(frozen=True)
class Lift:
    """A treatment over its control; figures are NaN where too little was seen. 0.05 is five per cent more."""

    control: float  # the figure itself, of each arm
    treatment: float
    lift: float = UNKNOWN
    low: float = UNKNOWN
    high: float = UNKNOWN
    error: float = UNKNOWN  # standard error of the ratio's logarithm
    explained: float = 0.0  # share of the variance that CUPED took away
    side: int = 0  # of the difference, 1 or -1 beyond doubt, where an arm has nothing and there is no ratio

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return bool(np.isfinite(self.error))

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0."""
        return self.side or int(self.low > 0) - int(self.high < 0)

    def to_dict(self) -> dict[str, float | None]:
        """JSON-able; unknown figures are None."""
        return {name: (value if np.isfinite(value) else None) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class ArmFigure:
    """A figure of one arm: value, variance of that estimate, and units."""

    value: float
    variance: float
    n: int


def lift_of(
    control: UnitMoments,
    treatment: UnitMoments,
    figure: UnitRatio,
    confidence: Confidence,
    covariates: Sequence[int] = (),
) -> Lift:
    """Of the figure; with CUPED where columns of the units' past are given as `covariates`."""
    plain = figure_of(control, figure), figure_of(treatment, figure)
    events = control.total[figure.top] + treatment.total[figure.top]
    if min(control.n, treatment.n) < FEWEST_UNITS or events < FEWEST_EVENTS:
        return Lift(plain[0].value, plain[1].value)
    if not covariates:
        return _compared(plain, confidence)
    shifted = adjustments([control, treatment], figure, covariates)
    adjusted = tuple(figure_of(arm, figure, past) for arm, past in shifted)
    before, after = (sum(arm.variance for arm in arms) for arms in (plain, adjusted))
    return _compared((adjusted[0], adjusted[1]), confidence, 1 - after / before if before > 0 else 0.0)


@dataclass(frozen=True)
class PastShift:
    """What CUPED takes from an arm's figure: `weight` times how far its units' past lies from everybody's."""

    columns: tuple[int, ...]
    weight: np.ndarray  # float64[columns]
    distance: np.ndarray  # float64[columns]


def adjustments(
    arms: Sequence[UnitMoments], figure: UnitRatio, covariates: Sequence[int]
) -> list[tuple[UnitMoments, PastShift]]:
    """Each arm with its shift; the weights come from all arms together, within arms, so no effect enters them."""
    columns = tuple(covariates)
    spread = np.zeros((len(columns), len(columns)))
    along = np.zeros(len(columns))
    for arm in arms:
        of_units = arm.covariance * (arm.n - 1)
        spread += of_units[np.ix_(columns, columns)]
        along += of_units[list(columns)] @ direction(arm, figure)
    scale = np.sqrt(np.diag(spread))
    scale = np.where(scale > 0, scale, 1.0)
    weight = np.linalg.pinv(spread / np.outer(scale, scale), rcond=1e-9, hermitian=True) @ (along / scale) / scale
    everybody = UnitMoments.added(arms, len(arms[0].total)).mean[list(columns)]
    return [(arm, PastShift(columns, weight, arm.mean[list(columns)] - everybody)) for arm in arms]


def direction(arm: UnitMoments, figure: UnitRatio) -> np.ndarray:
    """float64[k]: by how much the figure grows with each column's mean; units times it are linearised."""
    out = np.zeros(len(arm.total))
    if figure.bottom is None:
        out[figure.top] = 1.0
        return out
    mean = arm.mean
    bottom = mean[figure.bottom] or np.nan
    out[figure.top] = 1.0 / bottom
    out[figure.bottom] -= mean[figure.top] / bottom**2
    return out


def figure_of(arm: UnitMoments, figure: UnitRatio, past: PastShift | None = None) -> ArmFigure:
    """Value and variance of an arm's figure; NaN without units, or where nothing stands below."""
    mean = arm.mean
    value = mean[figure.top] if figure.bottom is None else mean[figure.top] / (mean[figure.bottom] or np.nan)
    along = direction(arm, figure)
    if past is not None:
        value -= past.weight @ past.distance
        along[list(past.columns)] -= past.weight
    variance = along @ arm.covariance @ along / arm.n if arm.n > 1 else np.nan
    return ArmFigure(float(value), max(float(variance), 0.0) if np.isfinite(variance) else float("nan"), arm.n)


def _compared(arms: tuple[ArmFigure, ArmFigure], confidence: Confidence, explained: float = 0.0) -> Lift:
    control, treatment = arms
    if not min(control.value, treatment.value) > 0:
        return Lift(control.value, treatment.value, side=_side(control, treatment, confidence))
    parts = [(arm.variance / arm.value**2, arm.n) for arm in arms]
    squared = sum(part for part, _ in parts)
    ratio = treatment.value / control.value
    if not squared > 0:
        return Lift(control.value, treatment.value, ratio - 1)
    error = float(np.sqrt(squared))
    reach = confidence.reach(error, _freedom(parts)) * error
    low, high = ratio * np.exp([-reach, reach]) - 1
    return Lift(control.value, treatment.value, ratio - 1, float(low), float(high), error, explained)


def _side(control: ArmFigure, treatment: ArmFigure, confidence: Confidence) -> int:
    """By the difference: what never happened in one arm has no ratio, and may be very much in the other."""
    parts = [(arm.variance, arm.n) for arm in (control, treatment)]
    error = float(np.sqrt(sum(part for part, _ in parts)))
    mean = (abs(control.value) + abs(treatment.value)) / 2
    if not error > 0 or not mean > 0:
        return 0
    difference = treatment.value - control.value
    beyond = abs(difference) > confidence.reach(error / mean, _freedom(parts)) * error
    return int(np.sign(difference)) if beyond else 0


def _freedom(parts: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a sum of estimated variances, each of so many units (Welch and Satterthwaite)."""
    return float(sum(part for part, _ in parts) ** 2 / sum(part**2 / (n - 1) for part, n in parts))
