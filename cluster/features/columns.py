"""Columns of the user's own tables as float32: numbers as they are, categories as codes, NaN for what is missing."""

import numpy as np
import pyarrow as pa

from cluster.hashing import hash_ids

CATEGORY_CODES = 1 << 20
"""Categorical values become hash_ids % CATEGORY_CODES: exact in float32, the same in every process."""


def category_code(values: np.ndarray) -> np.ndarray:
    """Codes of categorical values, float32[n]; None becomes NaN."""
    values = np.asarray(values, dtype=object)
    known = np.array([value is not None for value in values], dtype=bool)
    out = np.full(len(values), np.nan, np.float32)
    out[known] = hash_ids([str(value) for value in values[known]]) % CATEGORY_CODES
    return out


def numeric_column(table: pa.Table | None, name: str) -> np.ndarray | None:
    """float32[rows], NaN for null and for what is beyond float32; None without a table."""
    if table is None:
        return None
    with np.errstate(over="ignore"):  # a column that is an attribute, too, comes as float64
        values = table[name].to_numpy().astype(np.float32)
    return np.where(np.isinf(values), np.float32(np.nan), values)


def category_column(table: pa.Table | None, name: str) -> np.ndarray | None:
    """float32[rows] of `category_code`, NaN for null; each distinct value is hashed once. None without a table."""
    if table is None:
        return None
    encoded = table[name].combine_chunks().dictionary_encode()
    codes = category_code(np.array([*encoded.dictionary.to_pylist(), None], dtype=object))
    return codes[encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)]
