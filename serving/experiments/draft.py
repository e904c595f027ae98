"""Team draft: one answer of two orders, so that what people do with it says which order they like better.

Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?", CIKM 2008. NumPy only.
"""

from dataclasses import dataclass

import numpy as np

DRAW = 7
"""Tells the coins from what else is drawn by a request's seed."""


@dataclass(frozen=True)
class Draft:
    """One answer of two orders."""

    shown: np.ndarray  # int32[m], best first
    team: np.ndarray  # int8[m], which order placed each: 0 or 1


def team_draft(first: np.ndarray, second: np.ndarray, size: int, seed: int) -> Draft:
    """At most `size` pins of two orders, int[n] each without repeats, drawn by turns.

    The order with fewer pins placed picks its best pin that is not there yet, a coin decides between equals; an order
    that has none left leaves its turns to the other. Each is as likely as the other to have any position.
    """
    coins = np.random.default_rng([seed, DRAW])
    orders = (first.tolist(), second.tolist())
    at = [0, 0]
    placed = [0, 0]
    taken: set[int] = set()
    shown: list[int] = []
    team: list[int] = []
    while len(shown) < size:
        for which in (0, 1):
            while at[which] < len(orders[which]) and orders[which][at[which]] in taken:
                at[which] += 1
        left = [at[which] < len(orders[which]) for which in (0, 1)]
        if not any(left):
            break
        which = (placed[0] > placed[1]) if placed[0] != placed[1] else bool(coins.integers(2))
        turn = int(which) if left[int(which)] else 1 - int(which)
        pin = orders[turn][at[turn]]
        taken.add(pin)
        shown.append(pin)
        team.append(turn)
        placed[turn] += 1
    return Draft(np.array(shown, np.int32), np.array(team, np.int8))
