"""Exploration: a few slots of the answer go to candidates that the ranking did not put there. NumPy only."""

from dataclasses import dataclass

import numpy as np

NOTHING = np.empty(0, np.int32)


@dataclass(frozen=True)
class Explored:
    """An answer of which some positions were given to pins at random."""

    shown: np.ndarray  # int32[<= size]
    drawn: np.ndarray  # bool[<= size], which of them were drawn
    rate: float  # chance of each survivor behind the answer's best to be drawn, its propensity; 0 where none could be
    dropped_rate: float = 0.0  # the same of each candidate that the lightweight stage dropped


def explore(
    order: np.ndarray, size: int, slots: int, seed: int, dropped: np.ndarray = NOTHING, share: float = 0.0
) -> Explored:
    """The best of `order` but for `slots` of the answer's `size`, which come from behind, all with the same chance.

    A `share` of the slots, in expectation, goes to `dropped` int[d] instead: what is not in `order`, as the lightweight
    stage let it go, and may be shown. Random slots keep the log's labels from being only about what the ranking already
    likes. The ranking's best stays in the answer, however few pins the request asks for.
    """
    slots = min(slots, max(len(order) - size, 0), max(size - 1, 0))
    top, rest = order[: size - slots], order[size - slots :]
    rng = np.random.default_rng(seed)
    most = len(dropped) if share > 0 else 0
    whole, part = divmod(slots * share, 1.0)
    lower, upper = min(int(whole), most), min(int(whole) + 1, most)
    beyond = upper if most and rng.random() < part else lower
    drawn = np.concatenate(
        [rng.choice(rest, slots - beyond, replace=False), rng.choice(dropped, beyond, replace=False)]
    )
    answer = list(top)
    flags = [False] * len(answer)
    for pin in drawn:
        position = int(rng.integers(0, len(answer) + 1))
        answer.insert(position, pin)
        flags.insert(position, True)
    expected = (1.0 - part) * lower + part * upper  # over all requests like this one, whatever this one drew
    rates = ((slots - expected) / len(rest) if slots else 0.0), (expected / most if most else 0.0)
    return Explored(np.array(answer, np.int32), np.array(flags, bool), *rates)
