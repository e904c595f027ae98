"""How much a request wants of each source beside the mean request, by what is known before any source is asked.

Serving and training both ask here, with numbers that the serving log has: there is one definition. Whoever did much
finds much, and is worth more candidates, smoothly so: a regression needs few requests to say it, where kinds of users
need as many each.
"""

from dataclasses import dataclass

import numpy as np

KNOWN = ("query_pins", "actions")
"""What `known_of` takes: query pins of the request, and actions that its user is known for."""

PRIOR = 4.0
"""Of each weight, in requests of one standard deviation: few requests tell nobody apart."""

STEPS = 30
FAR = 4.0
"""Bound of a rate's logarithm: what lies outside of all that was seen is not told apart any further."""


def known_of(query_pins: int | np.ndarray, actions: int | np.ndarray) -> np.ndarray:
    """float64[2] of a request, float64[R, 2] of arrays: logarithms, as the number of later finds grows like a power."""
    return np.log1p(np.stack([query_pins, actions], axis=-1).astype(np.float64))


@dataclass(frozen=True)
class SourceDemand:
    """Of S sources: the logarithm of a request's rate is linear in what is known of it."""

    weights: np.ndarray  # float64[S, 1 + len(KNOWN)], the constant first

    @classmethod
    def even(cls, sources: int) -> "SourceDemand":
        """Every request wants as much."""
        return cls(np.zeros((sources, 1 + len(KNOWN))))

    @classmethod
    def fit(cls, known: np.ndarray, found: np.ndarray) -> "SourceDemand":
        """From float64[R, 2] and how many wanted pins each source found, float64[R, S]: Poisson regressions."""
        middle, spread = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-9)
        rows = np.column_stack([np.ones(len(known)), (known - middle) / spread])
        weights = np.stack([_poisson(rows, counts) for counts in found.T])
        weights[:, 1:] /= spread
        weights[:, 0] -= weights[:, 1:] @ middle
        return cls(weights)

    def rates(self, known: np.ndarray) -> np.ndarray:
        """float64[..., S] of float64[..., 2]: 1 for a request that wants as much of a source as the mean one."""
        log = known @ self.weights[:, 1:].T + self.weights[:, 0]
        return np.asarray(np.exp(np.clip(log, -FAR, FAR)))


def _poisson(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weights of log(expected count / mean count), by Newton's method; a penalty on all but the constant."""
    mean = counts.mean()
    weights = np.zeros(rows.shape[1])
    if not mean:
        return weights
    penalty = PRIOR * np.append(0.0, np.ones(len(weights) - 1))
    for _ in range(STEPS):
        expected = mean * np.exp(np.clip(rows @ weights, -FAR, FAR))
        slope = rows.T @ (counts - expected) - penalty * weights
        step = np.linalg.solve((rows.T * expected) @ rows + np.diag(penalty), slope)
        weights = weights + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-9:
            break
    return weights
