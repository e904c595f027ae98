"""List columns of an Arrow table as flat NumPy arrays, with their lengths checked. Knows nothing of models."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import DataError

Ints = npt.NDArray[np.int64]


def index_of_names(values: pa.Array, known: tuple[str, ...]) -> Ints:
    """1 + index of each name in `known`, 0 when it is not there."""
    found = pc.index_in(values.cast(pa.string()), value_set=pa.array(known, pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), np.int64) + 1


class ListRows:
    """List columns of a table as flat arrays, with the lengths checked."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def _list(self, name: str) -> pa.Array:
        if name not in self.table.column_names:
            raise DataError(f"training rows: column {name} is missing: rebuild the examples for this schema")
        column = self.table.column(name)
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()

    def flat(self, name: str, dtype: type) -> tuple[npt.NDArray, Ints]:
        """Values of all rows end to end and the count of each row; no copy when the type is already right."""
        column = self._list(name)
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        return self._numpy(column.flatten(), dtype), lengths

    def sized_arrow(self, name: str, expected: Ints) -> pa.Array:
        """Flat Arrow values, after checking that row i holds expected[i] of them."""
        column = self._list(name)
        lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(lengths != expected)
        if len(wrong):
            i = int(wrong[0])
            raise DataError(f"training rows: column {name}, row {i}: {lengths[i]} values where {expected[i]} belong")
        return column.flatten()

    def sized(self, name: str, dtype: type, expected: Ints) -> npt.NDArray:
        """As `sized_arrow`, as numpy."""
        return self._numpy(self.sized_arrow(name, expected), dtype)

    def has(self, name: str) -> bool:
        """Whether the table has this column."""
        return name in self.table.column_names

    def matrix(self, name: str, dtype: type, counts: Ints, width: int) -> npt.NDArray:
        """[sum of counts, width]: row i of the table holds counts[i] rows of `width` values. No column for width 0."""
        if width == 0:
            return np.zeros((int(counts.sum()), 0), dtype)
        return self.sized(name, dtype, counts * width).reshape(-1, width)

    @staticmethod
    def _numpy(values: pa.Array, dtype: type) -> npt.NDArray:
        if values.null_count:
            values = values.fill_null(float("nan")) if pa.types.is_floating(values.type) else values.fill_null(0)
        return np.asarray(values.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)


class Sequences:
    """The nested action sequences of a table of B requests, padded to L slots; what is longer is cut."""

    def __init__(self, rows: ListRows, length: int) -> None:
        self._rows = rows
        self._shape = (rows.table.num_rows, length)
        self._pins = np.zeros(0, np.int64)
        self._counts = np.zeros(rows.table.num_rows, np.int64)
        if length:
            self._pins, self._counts = rows.flat("sequence_pin_hash", np.int64)
        row = np.repeat(np.arange(len(self._counts)), self._counts)
        slot = np.arange(len(self._pins)) - np.repeat(np.cumsum(self._counts) - self._counts, self._counts)
        self._keep = slot < length
        self._at = (row[self._keep], slot[self._keep])

    def pins(self) -> Ints:
        """int64[B, L], 0 = padding."""
        return self._padded(self._pins, np.int64)

    def codes(self, name: str, known: tuple[str, ...]) -> Ints:
        """int64[B, L] of a column of names: 1 + index in `known`, 0 = other or padding."""
        if not self._shape[1]:
            return np.zeros(self._shape, np.int64)
        return self._padded(index_of_names(self._rows.sized_arrow(name, self._counts), known), np.int64)

    def numbers(self, name: str) -> npt.NDArray[np.float32]:
        """float32[B, L] of a column of numbers, 0 where unknown or padding."""
        if not self._shape[1]:
            return np.zeros(self._shape, np.float32)
        return self._padded(np.nan_to_num(self._rows.sized(name, np.float32, self._counts)), np.float32)

    def vectors(self, name: str, width: int) -> npt.NDArray[np.float32]:
        """float32[B, L, width] of a column of vectors, 0 where the table has none."""
        if not (width and self._shape[1] and self._rows.has(name)):
            return np.zeros((*self._shape, width), np.float32)
        return self._padded(self._rows.matrix(name, np.float32, self._counts, width), np.float32, width)

    def _padded(self, values: npt.NDArray, dtype: type, *tail: int) -> npt.NDArray:
        out = np.zeros((*self._shape, *tail), dtype)
        out[self._at] = values[self._keep]
        return out
