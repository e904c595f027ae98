"""Ranking metrics per request with bootstrap intervals over requests, and the pooled ones. Pure NumPy."""

from dataclasses import asdict, dataclass

import numpy as np

from training.ranker.calibration import expected_calibration_error
from training.ranker.metrics import log_loss, weighted_auc

__all__ = [
    "Interval",
    "auc",
    "bootstrap",
    "expected_calibration_error",
    "log_loss",
    "ndcg_of_request",
    "recall_at",
    "weighted_auc",
]


@dataclass(frozen=True)
class Interval:
    """A mean over requests with its 95 % bootstrap interval and the number of requests behind it."""

    mean: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | None]:
        """JSON-able; without requests the figures are None."""
        return {k: (v if v == v else None) for k, v in asdict(self).items()}


def bootstrap(values: np.ndarray, draws: int = 1000, seed: int = 0) -> Interval:
    """Mean of per-request values and its percentile interval, resampling requests; NaN values do not count.

    For a comparison pass the differences of the same requests (paired). Draws come as Poisson(1) counts, in blocks.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    n = len(values)
    if n == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    means = []
    step = max(1, 4_000_000 // n)
    for start in range(0, draws, step):
        counts = rng.poisson(1.0, (min(step, draws - start), n))
        total = counts.sum(axis=1)
        means.append(np.divide(counts @ values, total, out=np.full(len(total), np.nan), where=total > 0))
    low, high = np.nanpercentile(np.concatenate(means), [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high), n)


def order_by(score: np.ndarray) -> np.ndarray:
    """Rows from the best score to the worst; equal scores keep their place (the walk's order), NaN last."""
    return np.argsort(-np.where(np.isnan(score), -np.inf, score), kind="stable")


def ndcg_of_request(score: np.ndarray, gain: np.ndarray, k: int) -> float:
    """NDCG@k of one request, linear gains (negative ones count as 0). NaN when nothing has a gain."""
    gain = np.maximum(gain, 0.0)
    discount = 1.0 / np.log2(np.arange(2, min(k, len(gain)) + 2))
    ideal = np.sort(gain)[::-1][:k] @ discount
    return float(gain[order_by(score)][:k] @ discount / ideal) if ideal > 0 else float("nan")


def recall_at(score: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """Share of the `relevant` rows (bool[n]) among the k best by score. NaN when none is relevant."""
    total = int(relevant.sum())
    return float(relevant[order_by(score)[:k]].sum() / total) if total else float("nan")


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive row outscores a negative one, ties half. NaN with one class only."""
    return weighted_auc(score, positive.astype(np.float64), np.ones(len(score)))
