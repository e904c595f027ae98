"""Linear item-item weights: which saves, weighed together, predict a save best. Exact, or in each pin's neighbourhood.

Exact: EASE (Steck, WWW 2019), ridge regression of every pin on all others by one inverse. For catalogues beyond that:
the same regression of a pin on its nearest pins alone (feature selection as in fsSLIM, Ning and Karypis, ICDM 2011).
"""

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp

from cluster.similarity.neighbours import Neighbours
from cluster.similarity.saves import Saves


def exact_weights(saves: Saves, l2: float) -> np.ndarray:
    """float32[P, P]: entry (h, c) is what a save of h adds to the score of c; zero diagonal.

    The inverse is of the smaller side: G = XᵀX + λ of the pins, or by Woodbury's identity that of the boards.
    """
    boards, pins = saves.by_board.shape
    if boards < pins:
        x = saves.by_board.toarray().astype(np.float64)
        gram = x @ x.T
        gram[np.diag_indices_from(gram)] += l2
        inverse = -(x.T @ sl.cho_solve(sl.cho_factor(gram, overwrite_a=True), x)) / l2
        inverse[np.diag_indices_from(inverse)] += 1.0 / l2
    else:
        gram = (saves.by_pin @ saves.by_board).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += l2
        inverse = sl.cho_solve(sl.cho_factor(gram, overwrite_a=True), np.eye(pins))
    weights = -inverse / np.diag(inverse)
    weights[np.diag_indices_from(weights)] = 0.0
    return weights.astype(np.float32)


def near_weights(saves: Saves, pins: np.ndarray, near: Neighbours, l2: float) -> sp.csr_array:
    """float32[len(pins), P]: row c holds the weights of c's neighbours `near` (rows of `pins`) as predictors of c.

    The transpose of `exact_weights`: of each pin what the others add to it.
    """
    shape = (len(pins), saves.by_pin.shape[0])
    entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # rows, columns, values
    for row, pin in enumerate(pins):
        others = near.ids[row][near.ids[row] >= 0]
        if not len(others):
            continue
        x = saves.by_pin[others]
        gram = (x @ x.T).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += l2
        target = (x @ saves.by_pin[[pin]].T).toarray()[:, 0].astype(np.float64)
        entries.append((np.full(len(others), row), others, sl.solve(gram, target, assume_a="pos")))
    if not entries:
        return sp.csr_array(shape, dtype=np.float32)
    rows, columns, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    return sp.csr_array((values.astype(np.float32), (rows, columns)), shape=shape)
