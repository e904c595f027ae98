"""Small steps on sparse rows that several measures of likeness share."""

import numpy as np
import scipy.sparse as sp


def scaled(rows: sp.csr_array, by: np.ndarray) -> sp.csr_array:
    """The same entries, each multiplied by its own number of `by`, float[nnz]."""
    return sp.csr_array(((rows.data * by).astype(np.float32), rows.indices, rows.indptr), rows.shape)


def without_self(rows: sp.csr_array, pins: np.ndarray) -> sp.csr_array:
    """Row i without its entry for pins[i]: no pin is its own neighbour."""
    row = np.repeat(np.arange(len(pins)), np.diff(rows.indptr))
    keep = rows.indices != pins[row]
    offsets = np.append(0, np.cumsum(np.bincount(row[keep], minlength=len(pins))))
    return sp.csr_array((rows.data[keep], rows.indices[keep], offsets), rows.shape)
