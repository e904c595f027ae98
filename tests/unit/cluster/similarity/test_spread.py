"""Sums over rows of similar pins are those of a loop, and a request leaves nothing behind for the next one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.similarity.neighbours import Neighbours
from cluster.similarity.spread import spread
from tests.unit.cluster.features.given import PINS, random_neighbours


def slow(table: Neighbours, pins: np.ndarray, share: np.ndarray, candidates: np.ndarray) -> tuple:
    total = np.zeros((len(candidates), share.shape[1]))
    best = np.zeros(len(candidates))
    for h, row in enumerate(table.row_of(pins)):
        if row < 0:
            continue
        for pin, weight in zip(table.ids[row], table.weights[row], strict=True):
            for slot in np.flatnonzero(candidates == pin):
                total[slot] += share[h] * weight
                best[slot] = max(best[slot], weight) if share[h, 0] else best[slot]
    return total, best


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    history=st.integers(0, 12),
    candidates=st.integers(0, 30),
    columns=st.integers(1, 4),
    cold=st.integers(0, PINS - 1),
)
def test_sums_and_maxima(seed: int, history: int, candidates: int, columns: int, cold: int) -> None:
    rng = np.random.default_rng(seed)
    table = random_neighbours(rng)
    warm = np.sort(rng.permutation(PINS)[cold:])
    table = Neighbours(table.ids[: len(warm)], table.weights[: len(warm)]).of_pins(warm, PINS)
    assert len(table) == PINS
    for _ in range(2):  # the second request must not see the first one's candidates
        pins = rng.integers(0, PINS, history)
        asked = rng.permutation(PINS)[:candidates]
        share = rng.normal(size=(history, columns)).astype(np.float32)
        share[rng.random(share.shape) < 0.5] = 0.0
        total, best = slow(table, pins, share, asked)
        got = spread(table, pins, share, asked)
        np.testing.assert_allclose(got[:, :-1], total, atol=1e-4)
        np.testing.assert_allclose(got[:, -1], best, atol=1e-6)
