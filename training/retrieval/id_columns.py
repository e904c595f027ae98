"""Columns of ids of a table that is read on its own, outside the data contract, in the contract's types."""

import pyarrow as pa

from cluster.data.casting import FIX, Fault, cast_column
from cluster.errors import DataError


def holds_text(kind: pa.DataType) -> bool:
    """Whether values of this type are text, also behind a dictionary."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def cast_ids(ids: pa.ChunkedArray, name: str, what: str, text: bool) -> pa.ChunkedArray:
    """Ids as int64, or as `text`. Raises DataError that names the column, the value and what to write instead."""
    want = pa.string() if text else pa.int64()
    try:
        out = pa.chunked_array([cast_column(chunk, want) for chunk in ids.chunks], want)
    except Fault as fault:
        raise DataError(
            f"{what}: column {name!r} is {ids.type} and holds {fault.value} (row {fault.row} of its part), "
            f"which is no {fault.want} id: {FIX[fault.want]}"
        ) from None
    if out.null_count:
        raise DataError(f"{what}: column {name!r} has {out.null_count} NaN; remove those rows")
    return out
