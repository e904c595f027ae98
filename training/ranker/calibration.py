"""Makes probabilities true: Platt scaling per action and client on held-out requests.

A client's correction is shrunk towards the one of all clients by a prior worth `prior` examples, so a client
with few positives keeps nearly the common one. Slopes stay positive: calibration never changes the order within
one action.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from training.ranker.batch import Floats, Ints

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """p = sigmoid(slope * logit + offset), per client (row 0 = unknown client) and action: float64[clients + 1, A]
    each.
    """

    slope: Doubles
    offset: Doubles

    @classmethod
    def identity(cls, clients: int, actions: int) -> "Calibration":
        """No correction."""
        return cls(np.ones((clients + 1, actions)), np.zeros((clients + 1, actions)))

    def at_base_rate(self, action: int, with_it: float, examples: float) -> "Calibration":
        """A copy that gives every candidate of every client the rate of an action, whatever its logit.

        `with_it` of `examples` have the action, in their weights; half of one more of each keeps the rate off 0 and 1.
        """
        slope, offset = self.slope.copy(), self.offset.copy()
        slope[:, action] = 0.0
        offset[:, action] = np.log((with_it + 0.5) / (examples - with_it + 0.5))
        return Calibration(slope, offset)

    def apply(self, logits: Floats, client: Ints) -> Floats:
        """Logits float32[N, A] of candidates whose requests came from `client` int64[N] → probabilities."""
        return expit(logits * self.slope[client] + self.offset[client]).astype(np.float32)


def _platt(
    logit: Doubles, label: Doubles, weight: Doubles, start: tuple[float, float], prior: float
) -> tuple[float, float]:
    """Slope and offset that minimise weighted log-loss plus a pull towards `start`."""

    def cost(v: Doubles) -> tuple[float, Doubles]:
        slope = np.exp(v[0])
        z = slope * logit + v[1]
        away = np.array([v[0] - np.log(start[0]), v[1] - start[1]])
        residual = weight * (expit(z) - label)
        value = float(weight @ (np.logaddexp(0, z) - label * z) + 0.5 * prior * away @ away)
        return value, np.array([residual @ (slope * logit), residual.sum()]) + prior * away

    found = minimize(
        cost, np.array([np.log(start[0]), start[1]]), jac=True, method="L-BFGS-B", bounds=[(-3, 3), (-20, 20)]
    )
    return float(np.exp(found.x[0])), float(found.x[1])


def fit_calibration(
    logits: Floats, labels: Floats, weights: Floats, client: Ints, n_clients: int, prior: float = 20.0
) -> Calibration:
    """Fit on held-out logits float32[N, A], labels and weights of that shape (weight 0 = unknown label), client
    int64[N].
    """
    out = Calibration.identity(n_clients, logits.shape[1])
    for action in range(logits.shape[1]):
        known = weights[:, action] > 0
        z, y = logits[known, action].astype(np.float64), labels[known, action].astype(np.float64)
        w, of = weights[known, action].astype(np.float64), client[known]
        if not (w @ y > 0 and w @ (1 - y) > 0):
            continue  # one class only: nothing to learn from
        common = _platt(z, y, w, (1.0, 0.0), prior)
        out.slope[:, action], out.offset[:, action] = common
        for c in np.unique(of):
            own = of == c
            if c > 0 and 0 < y[own].sum() < own.sum():
                out.slope[c, action], out.offset[c, action] = _platt(z[own], y[own], w[own], common, prior)
    return out
