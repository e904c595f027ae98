"""Long lists of float32 as bytes in a file: Parquet writes them four times as fast, and they come back without a copy.

Parquet keeps a level for each number of a list. A request has a hundred thousand features, which cost more to write as
such a list than the request itself cost to answer. In memory they are lists, before and after.
"""

import numpy as np
import pyarrow as pa

PACKED = ("candidate_features",)
"""Columns of the logs that lie in a file so: little-endian float32, row after row (`numpy.frombuffer(v, "<f4")`)."""
WIDTH = 4


def packed(table: pa.Table) -> pa.Table:
    """The table as it is written; a null within a list becomes NaN."""
    for name in PACKED:
        at = table.schema.get_field_index(name)
        if at >= 0 and pa.types.is_list(table.schema.field(at).type):
            chunks = [_bytes_of(chunk) for chunk in table.column(at).chunks]
            table = table.set_column(at, name, pa.chunked_array(chunks, pa.binary()))
    return table


def packed_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of `packed` tables."""
    return packed(schema.empty_table()).schema


def unpacked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with lists in it again; one from before there was packing is returned as it is."""
    columns = [_lists_of(c) if _is_packed(f) else c for f, c in zip(batch.schema, batch.columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=unpacked_schema(batch.schema))


def unpacked_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of `unpacked` batches."""
    fields = [pa.field(f.name, pa.list_(pa.float32())) if _is_packed(f) else f for f in schema]
    return pa.schema(fields, schema.metadata)


def _is_packed(field: pa.Field) -> bool:
    return field.name in PACKED and pa.types.is_binary(field.type)


def _bytes_of(lists: pa.ListArray) -> pa.BinaryArray:
    offsets = np.asarray(lists.offsets, np.int64)
    values = lists.values
    if values.null_count:
        values = values.fill_null(float("nan"))
    floats = values.to_numpy(zero_copy_only=True)
    lengths = WIDTH * offsets
    if lengths[-1] - lengths[0] > np.iinfo(np.int32).max:
        raise ValueError("a table of more than 2 GB of features: write it in parts")
    data = np.ascontiguousarray(floats[offsets[0] : offsets[-1]])
    starts = pa.py_buffer((lengths - lengths[0]).astype(np.int32))
    valid = None if not lists.null_count else _bits(lists.is_valid())
    return pa.Array.from_buffers(pa.binary(), len(lists), [valid, starts, pa.py_buffer(data)])


def _lists_of(data: pa.BinaryArray) -> pa.ListArray:
    _, starts, values = data.buffers()
    offsets = np.frombuffer(starts, np.int32)[data.offset : data.offset + len(data) + 1] // WIDTH
    first = int(offsets[0]) if len(offsets) else 0
    count = int(offsets[-1]) - first if len(offsets) else 0
    flat = np.frombuffer(values or b"", np.float32, count, WIDTH * first)
    mask = None if not data.null_count else pa.array(~np.asarray(data.is_valid()))
    return pa.ListArray.from_arrays(pa.array(offsets - first, pa.int32()), pa.array(flat), mask=mask)


def _bits(valid: pa.BooleanArray) -> pa.Buffer:
    return valid.buffers()[1]
