"""Whether arrays lead where they may: what compiled loops trust, as they look at no bounds themselves.

A bundle may be whole and still be wrong, when its builder was. A few million entries at a time bound the memory.
"""

import numpy as np

from cluster.errors import BundleError

CHUNK = 1 << 22


def check_within(what: str, indices: np.ndarray, low: int, high: int) -> None:
    """Raises BundleError unless all of `indices`, int of any shape, are in low..high-1."""
    if indices.dtype.kind not in "iu":
        raise BundleError(f"{what} are {indices.dtype}, not whole numbers; build the graph again")
    for start in range(0, len(indices), CHUNK):
        part = indices[start : start + CHUNK]
        if part.size and (int(part.min()) < low or int(part.max()) >= high):
            raise BundleError(f"{what} lead outside {low}..{high - 1}; build the graph again")


def check_offsets(what: str, offsets: np.ndarray, end: int) -> None:
    """Raises BundleError unless int[n+1] `offsets` begin at 0, never fall, and end at `end`."""
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or not offsets.size:
        raise BundleError(f"{what} are no flat row of whole numbers; build the graph again")
    first, last = int(offsets[0]), int(offsets[-1])
    if (first, last) != (0, end):
        raise BundleError(f"{what} run from {first} to {last}, not from 0 to {end}; build the graph again")
    for start in range(0, offsets.size - 1, CHUNK):
        part = offsets[start : start + CHUNK + 1]
        if bool(np.any(part[1:] < part[:-1])):
            raise BundleError(f"{what} fall; build the graph again")
