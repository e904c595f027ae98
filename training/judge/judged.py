"""What both judges look at in a held-out request: one definition for trees and networks. NumPy only.

A *live* request showed an answer: of what it did not show nobody can say whether it would have led to an action, so
only shown candidates count, and those acted on. A *replayed* one (backfill of actions
without impressions) showed nothing, and its actions were found among all candidates alike: all of them count.
"""

import numpy as np


def judged_rows(position: np.ndarray, acted: np.ndarray, request: np.ndarray) -> np.ndarray:
    """bool[N]: whether a candidate counts.

    `position` int[N], -1 = not shown; `acted` bool[N]; `request` int[N], the number of each one's request from 0.

    A replay logs all candidates acted on and a sample of the others (`kept_rate`): each of these stands for
    1 / kept_rate of them, which NDCG counts it for (training.metrics.sampled).
    """
    live = np.zeros(int(request.max(initial=-1)) + 1, bool)
    live[request[position >= 0]] = True
    judged: np.ndarray = (position >= 0) | acted | ~live[request]
    return judged


def user_units(users: np.ndarray) -> np.ndarray | None:
    """int[n] codes from 0 of hashed users int64[n], to resample by; None (each request by itself) for one user alone.

    The requests of a user are alike, so resampling requests would make an interval too narrow; of a single user there
    is nothing else to resample.
    """
    known, codes = np.unique(users, return_inverse=True)
    return codes if len(known) > 1 else None
