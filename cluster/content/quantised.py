"""Vectors as int8 with a scale for each row: a fourth of the bytes, for a first look at all of them.

One scale for all rows would take their digits from short vectors, and some of what is near with them.
"""

from dataclasses import dataclass

import numpy as np

LINE = 64
"""Bytes of a cache line; rows are padded to whole lines, so that a scan of some rows reads no more than those."""

LEVELS = 127
BLOCK = 65_536


@dataclass(frozen=True)
class Quantised:
    """A vector is about its row times its scale; zeros have scale 0."""

    rows: np.ndarray  # int8[N, C, LINE], the width in whole cache lines, zeros behind it
    scale: np.ndarray  # float32[N]


def quantise(vectors: np.ndarray) -> Quantised:
    """float[N, W], finite → the nearest of 255 levels between ± the largest magnitude of a row."""
    n, width = vectors.shape
    rows = _aligned(n, -(-width // LINE) * LINE)
    scale = np.zeros(n, np.float32)
    for start in range(0, n, BLOCK):
        part = np.asarray(vectors[start : start + BLOCK], np.float32)
        most = np.abs(part).max(axis=1, initial=0.0)
        step = most / LEVELS
        rows[start : start + len(part), :width] = np.rint(part / np.where(step > 0, step, 1)[:, None])
        scale[start : start + len(part)] = step
    return Quantised(rows.reshape(n, rows.shape[1] // LINE, LINE), scale)


def _aligned(n: int, width: int) -> np.ndarray:
    """int8[n, width] of zeros that begins at a cache line: else every row would lie on two."""
    memory = np.zeros(n * width + LINE, np.int8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + n * width].reshape(n, width)
