"""The legacy layer that the lightweight ranker replaces: visit count x multiplicative rules. Kept as a baseline.

Pure NumPy over features; each rule multiplies the visit count of the candidates it matches. A client's `boosts` order
its candidates until it has a model.
"""

from collections.abc import Sequence

import numpy as np

from cluster.errors import ConfigError
from cluster.settings.clients import BoostRule


def boosted_visits(
    visit_score: np.ndarray, candidates: np.ndarray, names: Sequence[str], rules: Sequence[BoostRule]
) -> np.ndarray:
    """float32[n]: `visit_score` after all rules. `candidates` float32[n, C] has the columns `names`."""
    score = visit_score.astype(np.float32).copy()
    for rule in rules:
        if rule.feature not in names:
            raise ConfigError(f"boost rule on unknown feature {rule.feature!r}: use one of {', '.join(names)}")
        score[candidates[:, list(names).index(rule.feature)] >= rule.at_least] *= rule.factor
    return score
