"""UserSequences of items for tests of what comes next."""

from collections.abc import Sequence

import numpy as np

from training.retrieval.sequences import UserSequences


def sequences_of(users: Sequence[Sequence[int]], seconds: Sequence[Sequence[int]] | None = None) -> UserSequences:
    """Each user's items, oldest first, a second apart unless told otherwise."""
    when = seconds or [list(range(len(each))) for each in users]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in users])]).astype(np.int64)
    items = np.array([i for each in users for i in each], np.int32)
    return UserSequences(
        offsets, items, np.array([s for each in when for s in each], np.int64), int(items.max(initial=0)) + 1
    )


def chains(users: int, items: int, length: int, seed: int = 0) -> UserSequences:
    """Users who go from an item to the next one, nine times in ten; else anywhere."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(users):
        row = [int(rng.integers(items))]
        while len(row) < length:
            row.append((row[-1] + 1) % items if rng.random() < 0.9 else int(rng.integers(items)))
        rows.append(row)
    return sequences_of(rows)
