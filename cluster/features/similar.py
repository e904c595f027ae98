"""What the pins of a user and of a request say of each candidate, by one measure of likeness. NumPy over kernels."""

from typing import NamedTuple

import numpy as np

from cluster.similarity.neighbours import Neighbours
from cluster.similarity.spread import spread

RECENT = 10
"""Newest actions that count as recent."""

FADE = 0.8
"""What one more action since then leaves of a recent action's say in what follows it."""

WIDER = 50
"""Newest actions whose followers are averaged, beside those of the recent ones."""


class Sums(NamedTuple):
    """Summed weights of n candidates, float32[n] each; NaN where nothing was there to sum over."""

    history: np.ndarray  # over all liked pins
    recent: np.ndarray  # over the newest `RECENT` of them
    query: np.ndarray  # over the query pins, by their share of the weight
    best: np.ndarray  # the largest weight of one liked pin
    by_action: np.ndarray  # float32[n, A], over the pins of each action


class Follows(NamedTuple):
    """How much each of n candidates follows what the user did, float32[n] each; NaN without actions."""

    recent: np.ndarray  # the newest `RECENT` actions, the last one counting most
    wider: np.ndarray  # the mean over the newest `WIDER`


def newest_once(pins: np.ndarray) -> np.ndarray:
    """Rows of the newest mention of each pin, int64[m], newest first; `pins` int32[H] is newest first."""
    _, first = np.unique(pins, return_index=True)
    return np.sort(first)


def sums(
    table: Neighbours | None,
    pins: np.ndarray,
    action: np.ndarray,
    liked: np.ndarray,
    query: np.ndarray,
    query_weight: np.ndarray,
    candidates: np.ndarray,
    actions: int = 0,
) -> Sums:
    """Of int32[H] `pins` (newest first) with `action` int[H] codes below `actions` and `liked` bool[H].

    A pin counts once in each sum, however often the user acted on it. `query` int32[Q], `query_weight` float32[Q].
    """
    n = len(candidates)
    if table is None:
        unknown = np.full(n, np.nan, np.float32)
        return Sums(unknown, unknown, unknown, unknown, np.full((n, actions), np.nan, np.float32))
    share = np.zeros((len(pins) + len(query), 3 + actions), np.float32)
    rows = np.flatnonzero(liked)
    rows = rows[newest_once(pins[rows])]
    share[rows, 0] = 1.0
    share[rows[:RECENT], 1] = 1.0
    total = float(query_weight.sum())
    share[len(pins) :, 2] = query_weight / total if total > 0 else 0.0
    for code in range(actions):
        did = np.flatnonzero(action == code)
        share[did[newest_once(pins[did])], 3 + code] = 1.0
    out = spread(table, np.concatenate([pins, query]), share, candidates)
    if not len(rows):
        out[:, [0, 1, -1]] = np.nan
    if not len(query):
        out[:, 2] = np.nan
    return Sums(out[:, 0], out[:, 1], out[:, 2], out[:, -1], out[:, 3:-1])


def follows(table: Neighbours | None, pins: np.ndarray, candidates: np.ndarray) -> Follows:
    """Of int32[H] `pins`, newest first, whatever the action."""
    if table is None or not len(pins):
        return Follows(*np.full((2, len(candidates)), np.nan, np.float32))
    pins = pins[:WIDER]
    share = np.zeros((len(pins), 2), np.float32)
    share[:RECENT, 0] = FADE ** np.arange(min(RECENT, len(pins)))
    share[:, 1] = 1.0 / len(pins)
    out = spread(table, pins, share, candidates)
    return Follows(out[:, 0], out[:, 1])
