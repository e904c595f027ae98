"""The legacy layer that the lightweight ranker replaces: visit count x multiplicative rules. Kept as a baseline.

Pure NumPy over logged features; each rule multiplies the visit count of the candidates it matches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.errors import ConfigError


@dataclass(frozen=True)
class BoostRule:
    """Multiply by `factor` where the candidate feature is at least `at_least` (NaN never matches)."""

    feature: str
    factor: float
    at_least: float = 0.5


LOCALE_BOOST = (BoostRule("cross_locale_match", 2.0),)
"""Local pins count twice: the usual rule for localness."""


def boosted_visits(
    visit_score: np.ndarray, candidates: np.ndarray, names: Sequence[str], rules: Sequence[BoostRule] = LOCALE_BOOST
) -> np.ndarray:
    """float32[n]: `visit_score` after all rules. `candidates` float32[n, C] has the columns `names`."""
    score = visit_score.astype(np.float32).copy()
    for rule in rules:
        if rule.feature not in names:
            raise ConfigError(f"boost rule on unknown feature {rule.feature!r}: use one of {', '.join(names)}")
        score[candidates[:, list(names).index(rule.feature)] >= rule.at_least] *= rule.factor
    return score
