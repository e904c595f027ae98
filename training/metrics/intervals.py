"""How sure is a figure? Bootstrap intervals over requests or users: nothing else resamples. NumPy only.

What is resampled is the caller's choice: each row by itself (a request), or all rows of a unit together (a user, whose
answers are not independent of each other).
"""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

_BLOCK = 4_000_000
"""Counts held at once."""


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval (95 % unless said otherwise) and the number of values behind it."""

    mean: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | None]:
        """JSON-able; without values the figures are None."""
        return {k: (v if v == v else None) for k, v in asdict(self).items()}


def bootstrap(
    values: np.ndarray,
    weights: np.ndarray | None = None,
    draws: int = 1000,
    seed: int = 0,
    unit: np.ndarray | None = None,
) -> Interval:
    """Mean of `values` float[n], `weights` float[n] (default: 1) each, and its percentile interval.

    NaN values do not count. `unit` int[n], from 0: rows of one unit are drawn together; by default each row by itself.
    For a comparison pass the paired differences of the same requests.
    """
    return bootstrap_columns(np.asarray(values, np.float64)[:, None], weights, draws, seed, unit)[0]


def bootstrap_columns(
    values: np.ndarray,
    weights: np.ndarray | None = None,
    draws: int = 1000,
    seed: int = 0,
    unit: np.ndarray | None = None,
) -> list[Interval]:
    """`bootstrap` of each column of float[n, M], with the same draws for all; `weights` float[n], or [n, M]."""
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    known = finite * (1.0 if weights is None else np.asarray(weights, np.float64).reshape(len(values), -1))
    filled = np.where(finite, values, 0.0) * known
    top, bottom = (filled, known) if unit is None else (_sums(filled, unit), _sums(known, unit))
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // max(len(top), 1))
    means = np.concatenate(
        [ratio(resampled(len(top), min(block, draws - start), rng), top, bottom) for start in range(0, draws, block)]
    )
    out = []
    for column, drawn in enumerate(means.T):
        n = int(finite[:, column].sum())
        mean = filled[:, column].sum() / known[:, column].sum() if n else np.nan
        low, high = percentiles(drawn[np.isfinite(drawn)]) if n else (np.nan, np.nan)
        out.append(Interval(float(mean), low, high, n))
    return out


def resampled(
    units: int,
    draws: int,
    seed: int | np.random.Generator = 0,
    scheme: Literal["poisson", "multinomial"] = "poisson",
) -> np.ndarray:
    """How often each resample draws each unit: float64[draws, units].

    `multinomial` draws exactly as many as there are units; `poisson` as many on average, which is faster.
    """
    rng = np.random.default_rng(seed)
    if scheme == "poisson":
        return rng.poisson(1.0, (draws, units)).astype(np.float64)
    return rng.multinomial(units, np.full(units, 1.0 / units), size=draws).astype(np.float64)


def ratio(counts: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Sum of `top` over sum of `bottom` (float[units, M] both) in each resample: float[draws, M], NaN over nothing."""
    total = counts @ bottom
    return np.divide(counts @ top, total, out=np.full(total.shape, np.nan), where=total > 0)


def percentiles(drawn: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The ends of the middle `confidence` of float[draws]; NaN without any."""
    if not len(drawn):
        return float("nan"), float("nan")
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return float(low), float(high)


def _sums(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Sums of float[n, M] by unit: float[units, M]."""
    out = np.zeros((int(unit.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(out, unit, values)
    return out
