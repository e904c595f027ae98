"""The one hash for ids and categories: fixed for ever, so that training, serving and old bundles agree.

Text: FNV-1a, 64 bits, over the UTF-8 bytes, then the splitmix64 finaliser (FNV alone mixes the high bits of
short strings badly). Integers: splitmix64 of the value's two's complement bits. Both keep the low 63 bits as a
positive int64, and 0 is moved to 1 because 0 means padding. The integer 5 and the text "5" differ.
"""

from collections.abc import Sequence

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

_OFFSET_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_POSITIVE = np.uint64(0x7FFFFFFFFFFFFFFF)


def _splitmix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Finaliser of splitmix64 (Steele, Lea, Flood 2014), folded to a positive, non-zero int64."""
    with np.errstate(over="ignore"):
        z = bits + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> np.uint64(31))) & _POSITIVE
    out = z.astype(np.int64)
    out[out == 0] = 1
    return out


@nb.njit(cache=True, nogil=True)
def _fnv1a(data, offsets, out):  # type: ignore[no-untyped-def]
    """FNV-1a of each text, in time linear in its bytes; wrapping is the definition."""
    for i in range(len(out)):
        state = _OFFSET_BASIS
        for at in range(offsets[i], offsets[i + 1]):
            state = (state ^ np.uint64(data[at])) * _PRIME
        out[i] = state


def _hash_text(values: pa.Array) -> npt.NDArray[np.int64]:
    text = values.cast(pa.large_string())
    _, offset_buffer, data_buffer = text.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(text) + 1, text.offset * 8)
    data = np.frombuffer(data_buffer or b"", np.uint8)
    state = np.empty(len(text), np.uint64)
    _fnv1a(data, offsets, state)
    return _splitmix(state)


def hash_ids(
    values: "npt.NDArray | Sequence[int] | Sequence[str] | pa.Array | pa.ChunkedArray",
) -> npt.NDArray[np.int64]:
    """Positive int64[n] hashes of n ids (integers or text). Nulls hash to 0, the padding value."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    array = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.int64)
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if pa.types.is_integer(array.type):
        filled = array.fill_null(0) if missing is not None else array
        hashed = _splitmix(filled.cast(pa.int64()).to_numpy().view(np.uint64).copy())
    else:
        hashed = _hash_text(array.fill_null("") if missing is not None else array)
    if missing is not None:
        hashed[missing] = 0
    return hashed
