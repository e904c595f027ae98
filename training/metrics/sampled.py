"""NDCG of a request of which only a sample of the candidates is known, as a replay logs it. NumPy only.

Ranks among a sample make too little of the very top: NDCG@20 among a twentieth of the candidates says how well the
first four hundred of all are chosen (Krichene and Rendle, On sampled metrics for item recommendation, KDD 2020). So a
rank among all is estimated here. A drawn candidate counts for all that it was drawn from.
"""

import numpy as np

from training.metrics.ranking import discount, ideal_dcg, ndcg, order_by

SAMPLED_CUT = 75
"""How many ranks of all candidates a sample is judged on at most: the cut that told orders apart best, whether 20, 60
or 150 of 1,500 candidates were drawn (docs/experiments/training.md). A shorter one hangs on whether a single drawn
candidate stands before, a longer one looks at what no answer shows."""


def cut_of_sample(weight: np.ndarray, k: int) -> int:
    """The cut among all candidates of a request whose known ones stand for `weight` float[n]; k where all are known.

    The first k of a sample stand for k · weight, of which no more than SAMPLED_CUT are looked at; but not less than one
    drawn candidate stands for, within which nothing can be told apart, nor than k.
    """
    widest = float(weight.max(initial=1.0))
    return int(np.ceil(max(k, min(k * widest, SAMPLED_CUT), widest)))


def ndcg_of_sample(gain: np.ndarray, weight: np.ndarray, k: int) -> float:
    """NDCG of one request at `cut_of_sample`, estimated from a sample of its candidates. NaN without anything to gain.

    `gain` float[n] in rank order; `weight` float[n], how many candidates each stands for: 1 / the rate that it was
    drawn at, so 1 for all that have a gain, which are always known. With weights of 1 it is `ndcg` at k.

    The sum of the weights before a candidate is the least rank it has: how many of those that were not drawn stand
    between the last drawn one and it is not known. It gets the mean of the discounts of the ranks that are possible,
    from there to the next drawn one's share.
    """
    widest = float(weight.max(initial=1.0))
    if widest <= 1.0:
        return ndcg(gain, k)
    cut = cut_of_sample(weight, k)
    gain = np.maximum(gain, 0.0)
    best = ideal_dcg(gain, cut)
    if best <= 0:
        return float("nan")
    ranks = np.arange(cut + 1)
    before_rank = np.append(0.0, np.cumsum(discount(ranks[:-1], cut)))  # sum of the discounts of all before each
    least = np.cumsum(weight, dtype=np.float64) - weight
    counts = (np.interp(least + widest, ranks, before_rank) - np.interp(least, ranks, before_rank)) / widest
    return float(gain @ counts) / best


def mean_ndcg_of_samples(score: np.ndarray, gain: np.ndarray, request: np.ndarray, weight: np.ndarray, k: int) -> float:
    """Mean of `ndcg_of_sample` over the requests with a gain; NaN without any.

    `score`, `gain`, `weight` float[N] and `request` int[N], the number of each candidate's request; rows in any order.
    """
    grouped = np.argsort(request, kind="stable")
    starts = np.flatnonzero(np.diff(request[grouped])) + 1
    each = []
    for rows in np.split(grouped, starts):
        best_first = rows[order_by(score[rows])]
        each.append(ndcg_of_sample(gain[best_first], weight[best_first], k))
    known = [value for value in each if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
