"""How much each query pin counts: weights by age, and the share of the steps. Knows nothing of walking."""

from __future__ import annotations

from typing import Any

import numpy as np


def decayed_weights(ages: Any, half_life: float, weights: Any = None) -> np.ndarray:
    """float32[Q] query-pin weights halved for every `half_life` of age, both in one unit; `weights` default to 1."""
    age = np.maximum(np.asarray(ages, np.float64), 0.0)
    return np.asarray(np.exp2(-age / half_life) * (1.0 if weights is None else np.asarray(weights)), np.float32)


def allocate(
    degrees: np.ndarray, weights: np.ndarray, max_degree: int, steps: int, hub: str, power: float = 1.0
) -> np.ndarray:
    """float64[Q]: steps of each query, proportional to w_q s_q and summing to `steps`; 0 for isolated pins.

    The paper multiplies w_q and N s_q / sum(s) without normalising the weights; here a request costs what it says.
    """
    degree = np.maximum(degrees.astype(np.float64), 1.0)
    ceiling = np.log(max(max_degree, 1)) if hub == "log" else float(max_degree)
    scale = np.ones(degree.size) if hub == "uniform" else degree**power * np.maximum(ceiling - np.log(degree), 0.01)
    share = np.where(degrees > 0, scale * np.maximum(weights, 0.0), 0.0)
    total = share.sum()
    return np.asarray(share * (steps / total) if total > 0 else share)
