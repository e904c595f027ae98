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

    @staticmethod
    def _numpy(values: pa.Array, dtype: type) -> npt.NDArray:
        if values.null_count:
            values = values.fill_null(float("nan")) if pa.types.is_floating(values.type) else values.fill_null(0)
        return np.asarray(values.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)
