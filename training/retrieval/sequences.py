"""What each user did, oldest first, as flat arrays. NumPy and Arrow; knows no model.

Actions at the same moment keep the order of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cluster.data.casting import EXACT_FLOAT, Fault, cast_column
from cluster.data.schema import TIMESTAMP
from cluster.errors import DataError
from training.retrieval.id_columns import cast_ids, holds_text

MICROSECONDS = 1_000_000  # of a second


@dataclass(frozen=True)
class UserSequences:
    """User u did `items[offsets[u] : offsets[u + 1]]`, oldest first."""

    offsets: np.ndarray  # int64[U + 1]
    items: np.ndarray  # int32[N], codes of items from 0
    seconds: np.ndarray  # int64[N], when, in the file's own steps where it has no clock
    n_items: int

    @property
    def n_users(self) -> int:
        """Users with at least one action."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Actions of each user, int64[U]."""
        return np.diff(self.offsets)

    def of(self, user: int) -> slice:
        """Where a user's actions lie."""
        return slice(int(self.offsets[user]), int(self.offsets[user + 1]))

    def kept(self, keep: np.ndarray) -> UserSequences:
        """Without the actions that bool[N] leaves out; every user stays, some with none."""
        before = np.concatenate([[0], np.cumsum(keep)])
        return UserSequences(before[self.offsets], self.items[keep], self.seconds[keep], self.n_items)

    def pieces(self, length: int) -> Iterator[slice]:
        """Each user's actions in runs of at most length + 1, of which the last is the first of the next.

        So every action but a user's first is predicted once from at most `length` before it. Newest runs are whole.
        """
        for start, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            while end - start > 1:
                begin = max(start, end - length - 1)
                yield slice(begin, end)
                end = begin + 1


def read_sequences(table: pa.Table, user: str, item: str, time: str) -> tuple[UserSequences, pa.Array, pa.Array]:
    """(sequences, users, items): ids in the order of their codes. `time` is a timestamp, a date or a number of seconds.

    Raises DataError for a missing column, a null, another type, or no row.
    """
    for name in (user, item, time):
        if name not in table.column_names:
            raise DataError(f"no column {name!r}: columns are {', '.join(table.column_names)}")
        if nulls := table[name].null_count:
            raise DataError(f"column {name!r}: {nulls:,} rows are null")
    if not len(table):
        raise DataError("no interactions: the file has no rows")
    exact, seconds = _times(table[time], time)
    users, items = (
        cast_ids(table[name], name, "interactions", holds_text(table[name].type)).combine_chunks().dictionary_encode()
        for name in (user, item)
    )
    codes = users.indices.to_numpy(zero_copy_only=False)
    order = np.lexsort((exact, codes))  # stable: ties keep the order of the file
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(users.dictionary)))])
    found = items.indices.to_numpy(zero_copy_only=False)[order].astype(np.int32)
    return UserSequences(offsets, found, seconds[order], len(items.dictionary)), users.dictionary, items.dictionary


def _times(column: pa.ChunkedArray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What rows are ordered by, as exact as the file is, and whole seconds int64[N]."""
    kind = column.type
    values = column.combine_chunks()
    try:
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            exact = np.asarray(cast_column(values, TIMESTAMP).cast(pa.int64()))
            return exact, exact // MICROSECONDS
        if pa.types.is_integer(kind):
            exact = np.asarray(cast_column(values, pa.int64()))
            return exact, exact
    except Fault as fault:
        raise DataError(f"column {name!r}, row {fault.row}: {fault.value} is no time: it is too large") from None
    if pa.types.is_floating(kind):
        exact = np.asarray(values)
        if (np.abs(exact) <= EXACT_FLOAT[kind]).all():  # not so of NaN either
            return exact, np.floor(exact).astype(np.int64)
    raise DataError(f"column {name!r}: {kind} is no time: use a timestamp, a date or finite seconds")
