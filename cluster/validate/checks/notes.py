"""Facts that a check counts and that change nothing: the rows stay in."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.cleaning import Tally, moment

OLDEST_PLAUSIBLE_US = 631_152_000 * 10**6  # 1990-01-01


def note(table: pa.Table, marks: np.ndarray, reason: str, tally: Tally) -> None:
    """Counts the rows marked in `marks`, bool[rows]."""
    if marks.any():
        tally.noted[reason] += int(marks.sum())
        tally.met(reason, table, np.flatnonzero(marks))


def note_old(table: pa.Table, column: str, tally: Tally) -> None:
    """Counts times from before there can have been any."""
    old = np.asarray(pc.fill_null(pc.less(table[column], moment(OLDEST_PLAUSIBLE_US)), False))
    note(table, old, f"{column} lies before 1990 (kept)", tally)
