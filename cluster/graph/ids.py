"""Maps between the users' ids (int64 or utf-8 strings) and dense int32 indices. Knows nothing of graphs or of Ray.

On disk, beside the graph (all `.npy`, so that opening is mapping):

    {name}.ids.npy       int64[n]     id of each index                           (int64 maps)
    {name}.order.npy     int32[n]     index of the i-th smallest id, when the ids are not sorted already
    {name}.offsets.npy   int64[n+1]   start of each id's bytes                   (string maps)
    {name}.bytes.npy     uint8[m]     utf-8 bytes of all ids, end to end
    {name}.hashes.npy    uint64[n]    FNV-1a of each id, ascending
    {name}.order.npy     int32[n]     index that each hash belongs to
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numba as nb
import numpy as np
import pyarrow as pa

from cluster.errors import BundleError, DataError
from cluster.graph.bounds import check_offsets, check_within

_FNV_BASIS = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


@nb.njit(cache=True, nogil=True)
def _hash_all(data, offsets, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        h = _FNV_BASIS
        for j in range(offsets[i], offsets[i + 1]):
            h = (h ^ np.uint64(data[j])) * _FNV_PRIME
        out[i] = h


@nb.njit(cache=True, nogil=True)
def _find_all(data, offsets, hashes, order, q_data, q_offsets, q_hashes, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = -1
        size = q_offsets[i + 1] - q_offsets[i]
        at = np.searchsorted(hashes, q_hashes[i])
        while at < hashes.size and hashes[at] == q_hashes[i]:  # equal hashes are compared byte for byte
            index = order[at]
            same = offsets[index + 1] - offsets[index] == size
            for j in range(size):
                if not same:
                    break
                same = data[offsets[index] + j] == q_data[q_offsets[i] + j]
            if same:
                out[i] = index
                break
            at += 1


def _string_arrays(ids: Any) -> tuple[np.ndarray, np.ndarray]:
    """utf-8 bytes uint8[m] and offsets int64[n+1] of a sequence of strings."""
    try:
        column = pa.array(ids, type=pa.large_string(), from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"ids must be all int64 or all strings: {error}") from None
    if column.null_count:
        raise DataError(f"{column.null_count} ids are null: every id needs a value")
    _, offsets, data = column.buffers()
    starts = (
        np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
        if offsets
        else np.zeros(1, np.int64)
    )
    raw = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return raw[starts[0] : starts[-1]], starts - starts[0]


def _as_column(ids: Any) -> Any:
    """numpy int64 for integers, in object arrays too; anything else (list, array, Arrow) is passed on as strings."""
    if isinstance(ids, (pa.Array, pa.ChunkedArray)):
        column = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        if column.null_count:
            raise DataError(f"{column.null_count} ids are null: every id needs a value")
        return column.to_numpy(zero_copy_only=False).astype(np.int64) if pa.types.is_integer(column.type) else column
    values = ids if isinstance(ids, (np.ndarray, Sequence)) else list(ids)
    if not isinstance(values, np.ndarray) and len(values) and isinstance(values[0], str):
        return np.array(values, dtype=object)  # NumPy's own text type would strip trailing NULs
    array = np.asarray(values)
    if array.size == 0 and array.dtype.kind not in "iuOUS":
        array = array.astype(np.int64)
    if array.dtype.kind in "iu" or (array.dtype.kind == "O" and _all_integers(array)):
        return array.astype(np.int64, copy=False)
    return array.astype(object)


def _all_integers(array: np.ndarray) -> bool:
    """Whether an object array holds integers alone, as ids do that travelled beside text."""
    return array.size > 0 and {type(value) for value in array.tolist()} <= {int, np.int64, np.int32}


class IdMap:
    """Ids of the indices 0..n-1 and the way back. Immutable; safe to read from many threads."""

    def __init__(self, dtype: Literal["int64", "string"], arrays: dict[str, np.ndarray]) -> None:
        self.dtype = dtype
        self._arrays = arrays

    @classmethod
    def from_ids(cls, ids: Any) -> IdMap:
        """`ids`: n distinct int64 or strings (list, numpy or Arrow); position = index. DataError on duplicates."""
        column = _as_column(ids)
        if isinstance(column, np.ndarray) and column.dtype == np.int64:
            arrays = {"ids": column}
            ordered = column
            if column.size > 1 and not bool(np.all(column[1:] > column[:-1])):
                arrays["order"] = np.argsort(column, kind="stable").astype(np.int32)
                ordered = column[arrays["order"]]
            if ordered.size > 1 and bool(np.any(ordered[1:] == ordered[:-1])):
                raise DataError("ids repeat: an id map needs each id once")
            return cls("int64", arrays)
        data, offsets = _string_arrays(column)
        hashes = np.empty(offsets.size - 1, np.uint64)
        _hash_all(data, offsets, hashes)
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        made = cls("string", {"offsets": offsets, "bytes": data, "hashes": hashes[order], "order": order})
        if bool(np.any(made._find(data, offsets) != np.arange(offsets.size - 1))):
            raise DataError("ids repeat: an id map needs each id once")
        return made

    @classmethod
    def open(cls, directory: str | Path, name: str) -> IdMap:
        """Maps the files of `save`. Raises BundleError when they are absent or do not fit together."""
        folder = Path(directory)

        def load(part: str) -> np.ndarray:
            try:
                return np.asarray(np.load(folder / f"{name}.{part}.npy", mmap_mode="r"))
            except (OSError, ValueError) as error:
                raise BundleError(f"cannot read the id map {folder / name}: {error}; build the graph again") from None

        string = (folder / f"{name}.hashes.npy").exists()
        arrays = {part: load(part) for part in (("offsets", "bytes", "hashes", "order") if string else ("ids",))}
        if not string and (folder / f"{name}.order.npy").exists():
            arrays["order"] = load("order")
        made = cls("string" if string else "int64", arrays)
        if any(arrays[part].size != len(made) for part in ("order", "hashes") if part in arrays):
            raise BundleError(
                f"the id map {folder / name} is damaged: its files differ in length; build the graph again"
            )
        return made

    def save(self, directory: str | Path, name: str) -> None:
        """Writes the files named in the module's docstring into `directory`."""
        Path(directory).mkdir(parents=True, exist_ok=True)
        for part, array in self._arrays.items():
            np.save(Path(directory) / f"{name}.{part}.npy", array)

    def __len__(self) -> int:
        return int(self._arrays["ids"].size) if self.dtype == "int64" else int(self._arrays["offsets"].size) - 1

    def index_of(self, ids: Any) -> np.ndarray:
        """int32[n]: the index of each id, -1 where it is unknown (or of the other type)."""
        column = _as_column(ids)
        if self.dtype == "string":
            if isinstance(column, np.ndarray) and column.dtype == np.int64:
                return np.full(column.size, -1, np.int32)
            return self._find(*_string_arrays(column))
        if not (isinstance(column, np.ndarray) and column.dtype == np.int64):
            return np.full(len(column), -1, np.int32)
        known, order = self._arrays["ids"], self._arrays.get("order")
        if known.size == 0:
            return np.full(column.size, -1, np.int32)
        at = np.minimum(np.searchsorted(known, column, sorter=order), known.size - 1)
        index = at.astype(np.int32) if order is None else order[at]
        return np.where(known[index] == column, index, np.int32(-1)).astype(np.int32)

    def ids_of(self, index: Any) -> np.ndarray:
        """The ids of int[n] indices: int64[n], or object[n] of str. Raises IndexError outside 0..len-1."""
        wanted = np.asarray(index, np.int64)
        if wanted.size and (int(wanted.min()) < 0 or int(wanted.max()) >= len(self)):
            raise IndexError(f"index outside 0..{len(self) - 1}")
        if self.dtype == "int64":
            return np.asarray(self._arrays["ids"][wanted])
        offsets, data = self._arrays["offsets"], self._arrays["bytes"]
        out = np.empty(wanted.size, object)
        for i, w in enumerate(wanted):
            out[i] = bytes(data[offsets[w] : offsets[w + 1]]).decode()
        return out

    def check(self, what: str) -> None:
        """Raises BundleError where its arrays lead outside one another: look-ups trust them, and are compiled."""
        parts = self._arrays
        if self.dtype == "string":
            check_offsets(f"{what}: texts", parts["offsets"], parts["bytes"].size)
        if "order" in parts:
            check_within(f"{what}: their order", parts["order"], 0, len(self))

    def _find(self, data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        hashes = np.empty(offsets.size - 1, np.uint64)
        _hash_all(data, offsets, hashes)
        out = np.empty(hashes.size, np.int32)
        mine = self._arrays
        _find_all(mine["bytes"], mine["offsets"], mine["hashes"], mine["order"], data, offsets, hashes, out)
        return out
