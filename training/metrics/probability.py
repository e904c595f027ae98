"""How good are probabilities? AUC, log loss and calibration error from plain arrays. NumPy only.

Arrays are [N]; labels are 0 or 1 (or bool); `weight` counts an example as that many, 1 by default.
"""

import numpy as np


def auc(score: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Chance that a positive outscores a negative, ties half. NaN with one class only."""
    if not len(score):
        return float("nan")
    order = np.argsort(score, kind="stable")
    y = label[order].astype(np.float64)
    w = _weights(label, weight)[order]
    group = np.concatenate([[0], np.cumsum(np.diff(score[order]) != 0)])
    positive = np.bincount(group, w * y)
    negative = np.bincount(group, w * (1 - y))
    if positive.sum() == 0 or negative.sum() == 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum() / (positive.sum() * negative.sum()))


def log_loss(probability: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Weighted mean cross-entropy in nats, probabilities kept 1e-7 away from 0 and 1. NaN without weight."""
    w = np.ones(len(label)) if weight is None else weight
    if w.sum() == 0:
        return float("nan")
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return float((w * -(label * np.log(p) + (1 - label) * np.log1p(-p))).sum() / w.sum())


def expected_calibration_error(
    probability: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None, bins: int = 15
) -> float:
    """Weighted mean |predicted - observed| over bins of equal weight. NaN without examples.

    Bins of equal width would hide everything where most probabilities are small.
    """
    if not len(label):
        return float("nan")
    w = _weights(label, weight)
    order = np.argsort(probability, kind="stable")
    share = np.cumsum(w[order]) / w.sum()
    bin_of = np.minimum(((share - 1e-12) * bins).astype(int), bins - 1)
    gap = np.bincount(bin_of, w[order] * (probability[order].astype(np.float64) - label[order]), bins)
    return float(np.abs(gap).sum() / w.sum())


def _weights(label: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    return np.ones(len(label)) if weight is None else weight.astype(np.float64)
