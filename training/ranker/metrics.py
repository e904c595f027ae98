"""Figures of merit on held-out candidates: AUC, log loss and NDCG per action, from plain arrays. No torch, no Ray."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.ranker.batch import Floats, Ints
from training.ranker.calibration import expected_calibration_error


def weighted_auc(score: npt.NDArray, label: npt.NDArray, weight: npt.NDArray) -> float:
    """Chance that a positive outscores a negative, ties half; NaN with one class only. Arrays [N], label 0/1."""
    order = np.argsort(score, kind="stable")
    s, y, w = score[order], label[order].astype(np.float64), weight[order].astype(np.float64)
    group = np.concatenate([[0], np.cumsum(np.diff(s) != 0)])
    positive = np.bincount(group, w * y)
    negative = np.bincount(group, w * (1 - y))
    if positive.sum() == 0 or negative.sum() == 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum() / (positive.sum() * negative.sum()))


def log_loss(probability: npt.NDArray, label: npt.NDArray, weight: npt.NDArray) -> float:
    """Weighted mean cross-entropy in nats, probabilities kept 1e-7 away from 0 and 1. NaN without weight."""
    if weight.sum() == 0:
        return float("nan")
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return float((weight * -(label * np.log(p) + (1 - label) * np.log1p(-p))).sum() / weight.sum())


def ndcg(score: npt.NDArray, gain: npt.NDArray, request: Ints, k: int = 20) -> float:
    """Mean NDCG@k of each request's candidates ordered by score, over requests with any gain > 0. Arrays [N]."""
    order = np.lexsort((-score, request))
    rank = np.arange(len(order)) - np.searchsorted(request[order], request[order])
    discount = np.where(rank < k, 1 / np.log2(rank + 2), 0)
    got = np.bincount(request[order], gain[order] * discount)
    ideal_order = np.lexsort((-gain, request))
    ideal = np.bincount(request[ideal_order], gain[ideal_order] * discount)
    has = ideal > 0
    return float((got[has] / ideal[has]).mean()) if has.any() else float("nan")


def task_metrics(
    probability: Floats,
    labels: Floats,
    weights: Floats,
    request: Ints,
    client: Ints,
    actions: Sequence[str],
    clients: Sequence[str],
) -> dict[str, dict]:
    """Per action: auc, log_loss, ndcg@20, ece, ece_by_client, positives. Arrays [N, A], request and client [N]."""
    out: dict[str, dict] = {}
    for i, action in enumerate(actions):
        known = weights[:, i] > 0
        p, y, w, r, c = probability[known, i], labels[known, i], weights[known, i], request[known], client[known]
        out[action] = {
            "auc": weighted_auc(p, y, w),
            "log_loss": log_loss(p, y, w),
            "ndcg@20": ndcg(p, y, r),
            "ece": expected_calibration_error(p, y, w),
            "ece_by_client": {
                name: expected_calibration_error(p[c == j + 1], y[c == j + 1], w[c == j + 1])
                for j, name in enumerate(clients)
                if (c == j + 1).any()
            },
            "positives": int(y.sum()),
        }
    return out
