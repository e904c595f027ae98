"""Which word of a frame holds what. A frame is an int64 array of numbers and addresses that native code reads.

There are three: a thread's (native functions and scratch), an output's trees, and the program of one request. Numba
caches a kernel by the file that it stands in: whoever renumbers words here removes the `__pycache__` of this folder.
"""

import numpy as np

# A thread's frame (buffers.py): native functions, the pin table, the binner, scratch.
(
    GATHER,
    TRANSPOSE,
    SEARCH,
    SCAN,
    TABLE,
    TABLE_WIDTH,
    N_PINS,
    COLUMNS,
    N_COLUMNS,
    LANES,
    SLOT,
    BYTES,
    FLOATS,
    TAIL,
    WIDE,
    NARROW,
    SUMS,
    THREAD_WORDS,
) = range(18)

# A model's frame (collapser.py): sizes, then the arrays of live.Live.
(
    TREES,
    FEATURES,
    DEPTH,
    FULL,
    FEATURE,
    CUT_BEGIN,
    CUTS,
    ROW_BEGIN,
    ROWS,
    SPLIT_BEGIN,
    LEAF_BEGIN,
    LEFT,
    RIGHT,
    SHAPE,
    CODE,
    WEIGHTS,
    MODEL_WORDS,
) = range(17)

# A program's frame (collapser.py).
(
    SPLITS,
    SIZES,
    TABLES,
    BASE,
    CHUNKS,
    WRITTEN,
    LIVE,
    PROGRAM_WORDS,
) = range(8)


def address(array: np.ndarray) -> int:
    """Where the array's memory starts. Slow (microseconds): not for use in a request."""
    return int(array.__array_interface__["data"][0])


def new_frame(words: int, values: dict[int, "int | np.ndarray"]) -> np.ndarray:
    """int64[words] with these numbers, and the addresses of these arrays; 0 elsewhere. Keeps no array alive."""
    frame = np.zeros(words, np.int64)
    for word, value in values.items():
        frame[word] = address(value) if isinstance(value, np.ndarray) else value
    return frame
