"""Ids that came behind those of a map, without a copy of it. Knows nothing of graphs."""

from typing import Any

import numpy as np
import pyarrow as pa

from cluster.graph.ids import IdMap


class AppendedIds(IdMap):
    """The ids of `first`, and behind them `more`, which `first` does not have. Immutable."""

    def __init__(self, first: IdMap, more: pa.Array):
        """`more`: n distinct ids of the same type."""
        super().__init__(first.dtype, {})
        self._first = first
        self._more = IdMap.from_ids(more)

    def __len__(self) -> int:
        return len(self._first) + len(self._more)

    def index_of(self, ids: Any) -> np.ndarray:
        """int32[n]: the index of each id, -1 where it is unknown (or of the other type)."""
        index = self._first.index_of(ids)
        if (index >= 0).all():  # nearly always
            return index
        behind = self._more.index_of(ids)
        return np.where((index < 0) & (behind >= 0), behind + np.int32(len(self._first)), index).astype(np.int32)

    def ids_of(self, index: Any) -> np.ndarray:
        """The ids of int[n] indices: int64[n], or object[n] of str. Raises IndexError outside 0..len-1."""
        wanted = np.asarray(index, np.int64)
        behind = wanted >= len(self._first)
        if not behind.any():
            return self._first.ids_of(wanted)
        out = np.empty(wanted.shape, np.int64 if self.dtype == "int64" else object)
        out[~behind] = self._first.ids_of(wanted[~behind])
        out[behind] = self._more.ids_of(wanted[behind] - len(self._first))
        return out

    def check(self, what: str) -> None:
        """As those of `IdMap`."""
        self._first.check(what)
        self._more.check(what)
