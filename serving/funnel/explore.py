"""Exploration: a few slots of the answer go to survivors that the ranking did not put there. NumPy only."""

import numpy as np


def explore(order: np.ndarray, size: int, slots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The answer, int32[<= size], and which of it was drawn at random, bool: `slots` of it come from behind its best.

    Random slots keep the log's labels from being only about what the ranking already likes. The ranking's best stays in
    the answer, however few pins the request asks for.
    """
    slots = min(slots, max(len(order) - size, 0), max(size - 1, 0))
    top, rest = order[: size - slots], order[size - slots :]
    rng = np.random.default_rng(seed)
    drawn = rng.choice(rest, slots, replace=False) if slots else rest[:0]
    answer = list(top)
    flags = [False] * len(answer)
    for pin in drawn:
        position = int(rng.integers(0, len(answer) + 1))
        answer.insert(position, pin)
        flags.insert(position, True)
    return np.array(answer, np.int32), np.array(flags, bool)
