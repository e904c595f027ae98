"""Columns as users store them to the types of the contract. Lossless or refused: knows nothing of files or projects.

Accepted as they are: any integer width, floats that hold whole numbers (pandas writes nullable ints so), dictionary
columns, dates and naive timestamps (read as UTC), large strings. Numbers become text where the contract wants text.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.schema import TIMESTAMP

EXACT_FLOAT = {pa.float16(): 2.0**11, pa.float32(): 2.0**24, pa.float64(): 2.0**53}
"""Whole numbers up to here are told apart by a float of the type; beyond, two ids become one."""
FIX = {
    "int64": "write it as int64 (or set `ids: string` in pinfunnel.yaml if these are ids that are not numbers)",
    "string": "write it as string (UTF-8)",
    "float": "write it as float32 or float64; leave the value null where it is missing",
    "timestamp": "write it as a timestamp, e.g. polars: pl.from_epoch('{column}', time_unit='s') of numbers, "
    "pl.col('{column}').str.to_datetime() of text",
    "vector": "write it as a list of as many numbers as `features.pin_vector_width` says, null where there is none",
    "list": "write it as a list of strings, e.g. polars: pl.col('{column}').str.split('|')",
}


@dataclass
class Fault(Exception):
    """A value that does not fit: its row in the array, how it reads, and the type that is wanted."""

    row: int
    value: str
    found: str
    want: str


def kind_of(want: pa.DataType) -> str:
    """The contract's types by the keys of `FIX`."""
    if pa.types.is_timestamp(want):
        return "timestamp"
    if pa.types.is_fixed_size_list(want):
        return "vector"
    if pa.types.is_list(want):
        return "list"
    if pa.types.is_floating(want):
        return "float"
    return str(want)


def cast_column(column: pa.Array, want: pa.DataType) -> pa.Array:
    """`column` as type `want`; nulls stay, NaN in whole-number columns is null. Raises Fault at the first bad row."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == want:
        _require_text(column, want)
        return column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), want)
    kind = kind_of(want)
    if kind == "timestamp":
        return _timestamp(column, want)
    if kind == "vector":
        return _vectors(column, want)
    if kind == "list":
        return _strings(column, want)
    if kind == "float":
        numeric = any(
            is_kind(column.type)
            for is_kind in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
        )
        if not numeric:
            raise _first_value(column, want)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        return column.cast(want, safe=False)
    if pa.types.is_floating(column.type):
        column = _whole(column, want)
    if pa.types.is_decimal(column.type):
        column = _whole_decimal(column, want)
    if kind == "int64":
        if not pa.types.is_integer(column.type):
            raise _first_value(column, want)
        if column.type == pa.uint64():
            _refuse(column, pc.greater(column, pa.scalar(2**63 - 1, pa.uint64())), want)
        return column.cast(want)
    text = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_integer,
        pa.types.is_boolean,
    )
    if not any(is_kind(column.type) for is_kind in text):
        raise _first_value(column, want)
    _require_text(column, want)
    return column.cast(want)


def parse_text(text: str, want: pa.DataType) -> pa.Scalar:
    """A value written as text, in the name of a folder say, as type `want`. Raises Fault when it is none."""
    kind = kind_of(want)
    try:
        if kind == "int64":
            return pa.scalar(int(text), want)
        if kind == "float":
            return pa.scalar(float(text), want)
        if kind == "timestamp":
            moment = datetime.fromisoformat(text)
            return pa.scalar(moment if moment.tzinfo else moment.replace(tzinfo=UTC), want)
        if kind == "string":
            return pa.scalar(text, want)
    except (ValueError, OverflowError, pa.ArrowException):
        pass
    raise Fault(0, text, "text", kind)


def _require_text(column: pa.Array, want: pa.DataType) -> None:
    """Raises Fault at the first value that is not UTF-8: Parquet does not check what a writer calls a string."""
    items = column
    while _is_list(items.type):
        items = pc.list_flatten(items)
    if not (
        pa.types.is_string(items.type) or pa.types.is_large_string(items.type) or pa.types.is_string_view(items.type)
    ):
        return
    try:
        items.validate(full=True)
    except pa.ArrowInvalid:
        rows = [row for row in range(len(column)) if not _is_utf8(column.slice(row, 1))]
        at = rows[0] if rows else 0
        raise Fault(at, "bytes that are not UTF-8", str(column.type), kind_of(want)) from None


def _is_utf8(one: pa.Array) -> bool:
    while _is_list(one.type):
        one = pc.list_flatten(one)
    try:
        one.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _whole(column: pa.Array, want: pa.DataType) -> pa.Array:
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        bad = ~np.isnan(values) & ((np.floor(values) != values) | (np.abs(values) > EXACT_FLOAT[column.type]))
    _refuse(column, pa.array(bad), want)
    missing = np.isnan(values)
    return pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing)


def _whole_decimal(column: pa.Array, want: pa.DataType) -> pa.Array:
    """Whole decimals, as Snowflake and Spark write large integers, as int64."""
    values = column.to_pylist()
    bad = [value is not None and (value != value.to_integral_value() or abs(value) >= 2**63) for value in values]
    _refuse(column, pa.array(bad, pa.bool_()), want)
    return pa.array([None if value is None else int(value) for value in values], pa.int64())


def _timestamp(column: pa.Array, want: pa.DataType) -> pa.Array:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(column.type):
        raise _first_value(column, want)
    naive = column.cast(pa.timestamp(column.type.unit))
    try:
        return naive.cast(pa.timestamp("us"), safe=column.type.unit != "ns").cast(TIMESTAMP)
    except pa.ArrowInvalid:  # seconds or milliseconds beyond the year 294247
        limit = np.iinfo(np.int64).max // (10**6 if column.type.unit == "s" else 10**3)
        counts = naive.view(pa.int64())
        _refuse(column, pc.greater(pc.abs(counts), limit), want)
        raise


def list_matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    """float32[rows, width] of a fixed-size list column; null rows are zero."""
    out = np.zeros((len(column), width), np.float32)
    out[np.asarray(column.is_valid())] = pc.list_flatten(column).to_numpy().reshape(-1, width)
    return out


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _vectors(column: pa.Array, want: pa.FixedSizeListType) -> pa.Array:
    if not _is_list(column.type):
        raise _first_value(column, want)
    if not (pa.types.is_floating(column.type.value_type) or pa.types.is_integer(column.type.value_type)):
        raise _first_value(column, want)
    _refuse(column, pc.not_equal(pc.list_value_length(column), want.list_size), want)
    numbers = pc.list_flatten(column).cast(want.value_type, safe=False)
    dense = pa.FixedSizeListArray.from_arrays(pc.fill_null(numbers, float("nan")), type=want)
    valid = np.asarray(column.is_valid())
    return dense.take(pa.array(np.cumsum(valid) - 1, mask=~valid))  # `dense` has the rows that are not null


def _strings(column: pa.Array, want: pa.DataType) -> pa.Array:
    if not _is_list(column.type):
        raise _first_value(column, want)
    item = column.type.value_type
    if pa.types.is_dictionary(item):
        item = item.value_type
    if not (
        pa.types.is_string(item)
        or pa.types.is_large_string(item)
        or pa.types.is_integer(item)
        or pa.types.is_null(item)
    ):
        raise _first_value(column, want)
    _require_text(column, want)
    return column.cast(want)


def _first_value(column: pa.Array, want: pa.DataType) -> Fault:
    valid = np.asarray(column.is_valid())
    row = int(valid.argmax()) if len(valid) and valid.any() else 0
    return Fault(row, _show(column, row), str(column.type), kind_of(want))


def _refuse(column: pa.Array, bad: pa.Array, want: pa.DataType) -> None:
    marks = np.asarray(pc.fill_null(bad, False))
    if marks.any():
        row = int(marks.argmax())
        raise Fault(row, _show(column, row), str(column.type), kind_of(want))


def _show(column: pa.Array, row: int) -> str:
    try:
        return f"{column[row].as_py()!r:.60}" if len(column) else "nothing"
    except (OverflowError, ValueError):  # a timestamp that Python cannot hold
        return f"{column.view(pa.int64())[row].as_py()} {column.type.unit} since 1970"
