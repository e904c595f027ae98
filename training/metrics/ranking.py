"""How good is an order of candidates? NDCG and recall from plain arrays: nothing else defines them.

Gains are linear and negative ones count as 0; equal scores keep the order they came in (the walk's). NumPy only.
"""

import numpy as np


def order_by(score: np.ndarray) -> np.ndarray:
    """Rows from the best score to the worst; equal scores keep their order, NaN comes last."""
    return np.argsort(-np.where(np.isnan(score), -np.inf, score), kind="stable")


def discount(rank: np.ndarray, k: int) -> np.ndarray:
    """What a gain at each rank (int, from 0) counts: 1 / log2(rank + 2), and 0 from rank k on."""
    return np.where(rank < k, 1.0 / np.log2(rank + 2.0), 0.0)


def dcg(gain: np.ndarray, k: int) -> float:
    """DCG@k of gains float[n] in rank order."""
    head = np.maximum(gain[:k], 0.0)
    return float(head @ discount(np.arange(len(head)), k))


def ideal_dcg(gain: np.ndarray, k: int) -> float:
    """DCG@k of the best order of these gains."""
    return dcg(np.sort(gain)[::-1], k)


def ndcg(gain: np.ndarray, k: int, ideal: np.ndarray | None = None) -> float:
    """NDCG@k of one request. NaN when there is nothing to gain.

    `gain` float or bool [n] in rank order. `ideal` float[m]: all that could be gained, in any order, where that is more
    than what was ranked (an answer that misses what was looked for); the same gains by default.
    """
    best = ideal_dcg(gain if ideal is None else ideal, k)
    return dcg(gain, k) / best if best > 0 else float("nan")


def tells_apart(gain: np.ndarray) -> bool:
    """Whether one order of these gains float[n] can be better than another; not if all are worth the same."""
    gain = np.maximum(gain, 0.0)
    return bool(len(gain) and gain.max() > gain.min())


def ndcg_by_request(score: np.ndarray, gain: np.ndarray, request: np.ndarray, k: int) -> np.ndarray:
    """`ndcg` of many requests at once: float64[requests], NaN for those without a gain.

    `score`, `gain` float[N] and `request` int[N], the number of each candidate's request from 0; rows in any order.
    """
    gain = np.maximum(gain, 0.0)
    got, best = (_dcg_by_request(key, gain, request, k) for key in (score, gain))
    return np.divide(got, best, out=np.full(len(got), np.nan), where=best > 0)


def mean_ndcg(score: np.ndarray, gain: np.ndarray, request: np.ndarray, k: int) -> float:
    """Mean of `ndcg_by_request` over the requests with a gain. NaN without any."""
    each = ndcg_by_request(score, gain, request, k)
    known = each[~np.isnan(each)]
    return float(known.mean()) if len(known) else float("nan")


def _dcg_by_request(key: np.ndarray, gain: np.ndarray, request: np.ndarray, k: int) -> np.ndarray:
    order = np.lexsort((-np.where(np.isnan(key), -np.inf, key), request))
    of = request[order]
    rank = np.arange(len(order)) - np.searchsorted(of, of)
    return np.bincount(of, gain[order] * discount(rank, k))


def recall(hit: np.ndarray, k: int, wanted: int | None = None) -> float:
    """Share of what was looked for among the first k. NaN when nothing was.

    `hit` bool[n] in rank order; `wanted` is how many there were to find, all of the hits by default.
    """
    total = int(hit.sum()) if wanted is None else wanted
    return float(hit[:k].sum() / total) if total else float("nan")
