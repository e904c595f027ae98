"""How far an interval reaches from an estimate, in standard errors: once, at a horizon fixed before, or at any time.

Always-valid intervals are asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
"Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 2024, equation 5): with
probability 1 - alpha all intervals of an experiment's life hold the truth together, so that whoever looks every day is
not misled. Their time t, counted in units of one variance, is information here: 1 / (standard error)^2, so that users
who come again count by what they add. NumPy and SciPy only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

HorizonKind = Literal["fixed", "sequential"]

TIGHTEST = 0.04
"""Standard error for which always-valid intervals are made: of the logarithm of a ratio, 4 %.

It is set before any data, as it must be. An interval with a quarter of that error is 9 % wider than one made for it
would be, with twice the error 6 %, with four times 40 %.
"""


@dataclass(frozen=True)
class Confidence:
    """A kind of interval and its error."""

    kind: HorizonKind = "fixed"
    alpha: float = 0.05
    tightest: float = TIGHTEST  # of sequential ones, a standard error

    def reach(self, error: float, freedom: float = np.inf) -> float:
        """Standard errors from the estimate to an end of its interval; `freedom`: degrees of it, of Student's t."""
        if not error > 0:
            return float("nan")
        if self.kind == "fixed":
            return float(stats.t.ppf(1 - self.alpha / 2, freedom))
        grown = prior(self.alpha) * (self.tightest / error) ** 2
        any_time = np.sqrt(2 * (grown + 1) / grown * np.log(np.sqrt(grown + 1) / self.alpha))
        # Few units have wider tails than the normal ones that the sequence supposes.
        return float(any_time * stats.t.ppf(1 - self.alpha / 2, freedom) / stats.norm.ppf(1 - self.alpha / 2))

    def shared(self, comparisons: int) -> "Confidence":
        """With the error divided among several comparisons (Bonferroni)."""
        return Confidence(self.kind, self.alpha / max(comparisons, 1), self.tightest)


def prior(alpha: float) -> float:
    """Information at the narrowest moment, in units of the mixture's variance: rho^2 t, equation 10 of the paper."""
    return float(-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1)
