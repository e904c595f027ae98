"""Exploration: a few slots of the answer go to survivors that the ranking did not put there. NumPy only."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Explored:
    """An answer of which some positions were given to pins at random."""

    shown: np.ndarray  # int32[<= size]
    drawn: np.ndarray  # bool[<= size], which of them were drawn
    rate: float  # chance of each pin behind the answer's best to be drawn, its propensity; 0 where none was


def explore(order: np.ndarray, size: int, slots: int, seed: int) -> Explored:
    """The best of `order` but for `slots` of the answer's `size`, which come from behind, all with the same chance.

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
    return Explored(np.array(answer, np.int32), np.array(flags, bool), slots / len(rest) if slots else 0.0)
