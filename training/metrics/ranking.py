"""Ranking metrics per request with bootstrap intervals over requests, and the pooled ones. Pure NumPy."""

from dataclasses import asdict, dataclass

import numpy as np

from training.ranker.calibration import expected_calibration_error
from training.ranker.metrics import log_loss, weighted_auc

__all__ = [
    "Interval",
    "auc",
    "bootstrap",
    "bootstrap_columns",
    "expected_calibration_error",
    "ideal_dcg",
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


def bootstrap(values: np.ndarray, weights: np.ndarray | None = None, draws: int = 1000, seed: int = 0) -> Interval:
    """Mean of per-request values, `weights` float[n] (default: 1) each, and its percentile interval.

    Requests are resampled; NaN values do not count. For a comparison pass the paired differences of the same requests.
    """
    return bootstrap_columns(np.asarray(values, np.float64)[:, None], weights, draws, seed)[0]


def bootstrap_columns(
    values: np.ndarray, weights: np.ndarray | None = None, draws: int = 1000, seed: int = 0
) -> list[Interval]:
    """`bootstrap` of each column of float[n, M] with the same draws. They come as Poisson(1) counts, in blocks."""
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    known = finite * (1.0 if weights is None else np.asarray(weights, np.float64)[:, None])
    filled = np.where(finite, values, 0.0) * known
    n = len(values)
    rng = np.random.default_rng(seed)
    step = max(1, 4_000_000 // max(n, 1))
    blocks = []
    for start in range(0, draws, step):
        counts = rng.poisson(1.0, (min(step, draws - start), n)).astype(np.float64)
        total = counts @ known
        blocks.append(np.divide(counts @ filled, total, out=np.full(total.shape, np.nan), where=total > 0))
    means = np.concatenate(blocks)
    out = []
    for column, drawn in zip(range(values.shape[1]), means.T, strict=True):
        here = int(finite[:, column].sum())
        drawn = drawn[np.isfinite(drawn)]
        low, high = np.percentile(drawn, [2.5, 97.5]) if here and len(drawn) else (np.nan, np.nan)
        mean = filled[:, column].sum() / known[:, column].sum() if here else np.nan
        out.append(Interval(float(mean), float(low), float(high), here))
    return out


def order_by(score: np.ndarray) -> np.ndarray:
    """Rows from the best score to the worst; equal scores keep their place (the walk's order), NaN last."""
    return np.argsort(-np.where(np.isnan(score), -np.inf, score), kind="stable")


def ndcg_of_request(score: np.ndarray, gain: np.ndarray, k: int) -> float:
    """NDCG@k of one request, linear gains (negative ones count as 0). NaN when nothing has a gain."""
    ideal = ideal_dcg(gain, k)
    return _dcg(gain[order_by(score)], k) / ideal if ideal > 0 else float("nan")


def ideal_dcg(gain: np.ndarray, k: int) -> float:
    """DCG@k of the best order, linear gains (negative ones count as 0)."""
    return _dcg(np.sort(gain)[::-1], k)


def _dcg(gain: np.ndarray, k: int) -> float:
    return float(np.maximum(gain[:k], 0.0) @ (1.0 / np.log2(np.arange(2, min(k, len(gain)) + 2))))


def recall_at(score: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """Share of the `relevant` rows (bool[n]) among the k best by score. NaN when none is relevant."""
    total = int(relevant.sum())
    return float(relevant[order_by(score)[:k]].sum() / total) if total else float("nan")


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive row outscores a negative one, ties half. NaN with one class only."""
    return weighted_auc(score, positive.astype(np.float64), np.ones(len(score)))
