"""How alike pins are in content, and which query pin led to a candidate: the loops over candidates times query pins.

Compiled, as NumPy's product starts threads for these few rows and then waits for them: on a busy machine that took
thirty times as long as the forest that scores the result.
"""

from typing import NamedTuple

import numba as nb
import numpy as np

from cluster.graph.packing import frozen


class Likeness(NamedTuple):
    """Cosines of n candidates, float32[n] each, with three things."""

    query: np.ndarray  # the weighted mean of the query pins
    best: np.ndarray  # the query pin that is nearest
    history: np.ndarray  # the mean of the user's recent actions


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length; zero rows stay zero."""
    norm = np.linalg.norm(matrix, axis=-1, keepdims=True)
    return np.divide(matrix, norm, out=np.zeros_like(matrix, dtype=np.float32), where=norm > 0)


def likeness(content: np.ndarray, of_queries: np.ndarray, weight: np.ndarray, of_recent: np.ndarray | None) -> Likeness:
    """Cosines of n unit rows with the weighted mean of Q rows, with the nearest of them, with the mean of recent ones.

    NaN for a user without actions (None) and for a request without query pins.
    """
    n, width = content.shape
    mean = unit_rows((weight[:, None] * of_queries).sum(axis=0)) if len(of_queries) else np.zeros(width, np.float32)
    recent = np.zeros(width, np.float32) if of_recent is None else unit_rows(of_recent.mean(axis=0))
    out = np.empty((3, n), np.float32)
    _cosines(_plain(content), _plain(of_queries), _plain(mean), _plain(recent), out)
    if not len(of_queries):
        out[:2] = np.nan
    if of_recent is None:
        out[2] = np.nan
    return Likeness(*out)


def strongest(by_query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which query pin led to each candidate most often, int64[n], and its share of the visits, float32[n].

    by_query: visits uint32[n, Q]; without query pins 0 and NaN, without visits 0 and 0.
    """
    best, share = np.zeros(len(by_query), np.int64), np.full(len(by_query), np.nan, np.float32)
    if by_query.shape[1]:
        _strongest(_plain(by_query, np.uint32), best, share)
    return best, share


def warm() -> None:
    """Compiles, or loads what was compiled before, so that no request waits for it."""
    one = np.ones((1, 1), np.float32)
    likeness(one, one, one[0], one)
    strongest(one)


def _plain(array: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Contiguous and read-only: one type for the compiler, wherever the array came from."""
    return frozen(np.ascontiguousarray(array, dtype))


@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _cosines(content, queries, mean, recent, out):  # type: ignore[no-untyped-def]
    for i in range(content.shape[0]):
        to_mean = np.float32(0)
        to_recent = np.float32(0)
        nearest = np.float32(-np.inf)
        for t in range(content.shape[1]):
            to_mean += content[i, t] * mean[t]
            to_recent += content[i, t] * recent[t]
        for q in range(queries.shape[0]):
            product = np.float32(0)
            for t in range(content.shape[1]):
                product += content[i, t] * queries[q, t]
            nearest = max(nearest, product)
        out[0, i] = to_mean
        out[1, i] = nearest
        out[2, i] = to_recent


@nb.njit(cache=True, nogil=True)
def _strongest(by_query, best, share):  # type: ignore[no-untyped-def]
    for i in range(by_query.shape[0]):
        total = np.int64(0)
        most = np.int64(-1)
        at = 0
        for q in range(by_query.shape[1]):
            visits = np.int64(by_query[i, q])
            total += visits
            if visits > most:
                most, at = visits, q
        best[i], share[i] = at, np.float32(most / total) if total else np.float32(0)
