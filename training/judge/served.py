"""The order in which a full ranker would serve a replayed request: it sees the survivors of the stage before alone."""

import numpy as np

from training.metrics.ranking import order_by


def as_served(score: np.ndarray, before: np.ndarray, stands_for: np.ndarray, survivors: int) -> np.ndarray:
    """Scores float[n] of the order that is served: the first `survivors` of `before` by `score`, then the rest.

    `score` float[n], the full ranker's, and `before` float[n], those of the stage before it, of one request. A replay
    logs a sample of the candidates, each of which `stands_for` float[n] of them all: so many it pushes back the others.
    """
    order = order_by(before)
    ahead = np.cumsum(stands_for[order]) - stands_for[order]
    seen, unseen = order[ahead < survivors], order[ahead >= survivors]
    served = np.concatenate([seen[order_by(score[seen])], unseen])
    out = np.empty(len(score), np.float32)
    out[served] = -np.arange(len(score))
    return out
