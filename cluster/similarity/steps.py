"""The exact chance of a walk of two steps, pin to board to pin, of which the walk's visit counts are a sample.

With the target's popularity discounted by a power of its degree this is RP3β (Paudel et al., TiiS 2017).
"""

import numpy as np

from cluster.similarity.neighbours import Neighbours
from cluster.similarity.saves import Saves
from cluster.similarity.sparse import scaled, without_self


def step_rows(saves: Saves, pins: np.ndarray, k: int, beta: float) -> Neighbours:
    """Rows of `pins`: the chance to go from a pin to a board of it and on to another pin, over its boards^beta."""
    chance = without_self((saves.by_pin[pins] @ saves.board_share).tocsr(), pins)
    row = np.repeat(np.arange(len(pins)), np.diff(chance.indptr))
    discount = np.maximum(saves.degree[pins][row], 1.0) * np.maximum(saves.degree[chance.indices], 1.0) ** beta
    return Neighbours.strongest(scaled(chance, 1.0 / discount), k)
