"""Which ids may occur more than once in a log, in bounded memory: by a hash of each, a part of them at a time.

Two ids of one hash are only suspects: who asks compares those by themselves, which are few. Knows nothing of files.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa

from cluster.hashing import hash_ids

HASHES_AT_ONCE = 1 << 24
"""Hashes in memory at a time, some 300 MB with their copies; more ids are read once for each part of them."""


def suspects(ids: Callable[[], Iterable[pa.Array]], rows: int, at_once: int = HASHES_AT_ONCE) -> np.ndarray:
    """Hashes that more than one of about `rows` ids have, int64 ascending; of nulls it is 0.

    `ids` reads all of them, some at a time, whenever it is called.
    """
    parts = 1 + rows // at_once
    return np.sort(np.concatenate([_met_again(ids(), part, parts) for part in range(parts)]))


def _met_again(ids: Iterable[pa.Array], part: int, parts: int) -> np.ndarray:
    """Of the hashes that leave `part` when divided by `parts`."""
    found = [np.zeros(0, np.int64)]
    for some in ids:
        hashes = hash_ids(some)
        found.append(hashes if parts == 1 else hashes[hashes % parts == part])
    all_of_them = np.concatenate(found)
    all_of_them.sort()
    return np.unique(all_of_them[1:][all_of_them[1:] == all_of_them[:-1]])
