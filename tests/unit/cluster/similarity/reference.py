"""The measures of likeness as they are defined, in plain loops over dense matrices."""

import numpy as np


def random_saves(seed: int, boards: int, pins: int) -> np.ndarray:
    """float64[B, P] of 0 and 1; some pins on no board, some boards alike."""
    rng = np.random.default_rng(seed)
    return (rng.random((boards, pins)) < rng.random(pins) * 0.6).astype(float)


def cosine(x: np.ndarray, shrinkage: float) -> np.ndarray:
    out = np.zeros((x.shape[1], x.shape[1]))
    for a in range(len(out)):
        for b in range(len(out)):
            together = sum(x[board, a] * x[board, b] for board in range(len(x)))
            root = np.sqrt(x[:, a].sum() * x[:, b].sum())
            out[a, b] = 0.0 if a == b or not together else together / (root + shrinkage)
    return out


def steps(x: np.ndarray, beta: float) -> np.ndarray:
    out = np.zeros((x.shape[1], x.shape[1]))
    for a in range(len(out)):
        for b in range(len(out)):
            chance = sum(
                x[board, a] / x[:, a].sum() * x[board, b] / x[board].sum()
                for board in range(len(x))
                if x[board, a] and x[board, b]
            )
            out[a, b] = 0.0 if a == b or not chance else chance / x[:, b].sum() ** beta
    return out


def linear(x: np.ndarray, l2: float) -> np.ndarray:
    """Ridge regression of each pin on all others, one after the other."""
    out = np.zeros((x.shape[1], x.shape[1]))
    for target in range(len(out)):
        others = [pin for pin in range(len(out)) if pin != target]
        gram = x[:, others].T @ x[:, others] + l2 * np.eye(len(others))
        out[others, target] = np.linalg.solve(gram, x[:, others].T @ x[:, target])
    return out


def followed(sequences: list[list[int]], pins: int, window: int, decay: float) -> np.ndarray:
    """`sequences`: each user's pins, oldest first."""
    out = np.zeros((pins, pins))
    for sequence in sequences:
        for i, earlier in enumerate(sequence):
            for distance in range(1, window + 1):
                if i + distance < len(sequence) and sequence[i + distance] != earlier:
                    out[earlier, sequence[i + distance]] += decay**distance
    return out
