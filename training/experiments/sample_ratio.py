"""Do the arms have the shares of units that they should have? If not, assignment or logging is broken.

Pearson's chi-squared test, as in Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments"
(KDD 2019). SciPy only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

BROKEN = 0.001
"""Chance below which arms are off their shares: looked at daily for weeks, a sound test is rarely stopped."""


@dataclass(frozen=True)
class SampleRatio:
    """Units seen by arm beside those that were expected."""

    seen: Mapping[str, int]
    expected: Mapping[str, float]
    p: float  # chance of shares so far off, or further, when all is well; 1 without units

    @property
    def failed(self) -> bool:
        """Whether nothing may be concluded."""
        return self.p < BROKEN


def sample_ratio(units: Mapping[str, int], weights: Mapping[str, float]) -> SampleRatio:
    """`units` and `weights` by arm, the same arms."""
    total = sum(units.values())
    whole = sum(weights.values())
    expected = {arm: total * weight / whole for arm, weight in weights.items()}
    if not total or len(weights) < 2:
        return SampleRatio(dict(units), expected, 1.0)
    found = stats.chisquare([units[arm] for arm in weights], list(expected.values()))
    return SampleRatio(dict(units), expected, float(found.pvalue))
