"""Rows of the serving log on their way into one file, and how large they are in memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Row = dict[str, Any]


@dataclass(eq=False)
class LogBatch:
    """Rows of one day and client that go into one file; tried again, they go into the same one."""

    name: str
    rows: list[Row]
    since: float  # none of them has waited for longer


def bytes_of(row: Row) -> int:
    """Of its arrays, which are nearly all of it."""
    return sum(value.nbytes for value in row.values() if isinstance(value, np.ndarray))
