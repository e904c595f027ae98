"""What users do next: how often an action on one pin is followed by one on another within a window of actions.

The item-to-item transitions of session-based recommenders (Ludewig and Jannach, UMUAI 2018), nearer ones counting more.
"""

import numpy as np
import scipy.sparse as sp

from cluster.similarity.neighbours import Neighbours
from cluster.similarity.sparse import scaled

DECAY = 0.9
"""What one more action between two pins leaves of their weight."""


def followed(offsets: np.ndarray, pins: np.ndarray, n_pins: int, window: int) -> sp.csr_array:
    """float32[P, P]: entry (h, c) sums DECAY^d over the times that c came d actions after h, d = 1 .. `window`.

    CSR over users: `pins` int32[H] of user u are offsets[u] .. offsets[u+1]-1, newest first. A pin does not follow
    itself.
    """
    user = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    total = sp.csr_array((n_pins, n_pins), dtype=np.float32)
    for distance in range(1, min(window, len(pins) - 1) + 1):
        later, earlier = slice(None, len(pins) - distance), slice(distance, None)
        pairs = (user[later] == user[earlier]) & (pins[later] != pins[earlier])
        weight = np.full(int(pairs.sum()), DECAY**distance, np.float32)
        cells = pins[earlier][pairs], pins[later][pairs]
        total = total + sp.csr_array((weight, cells), shape=(n_pins, n_pins))
    return total.tocsr()


def follow_rows(counts: sp.csr_array, actions: np.ndarray, k: int, shrinkage: float) -> Neighbours:
    """Rows of `counts`, each entry divided by (root of the target's actions + shrinkage): what follows beyond chance.

    actions: float[P], how often each pin was acted on.
    """
    weights = scaled(counts, 1.0 / (np.sqrt(np.maximum(actions, 1))[counts.indices] + shrinkage))
    left = np.flatnonzero(np.diff(weights.indptr))  # pins that something follows
    return Neighbours.strongest(weights[left], k).of_pins(left, counts.shape[0])
