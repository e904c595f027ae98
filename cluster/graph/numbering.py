"""Which index a pin or board of a graph in memory gets: its own, or one by locale. Knows nothing of edges or files."""

from __future__ import annotations

from typing import Any

import numpy as np

from cluster.errors import DataError
from cluster.graph.ids import IdMap


def id_map(ids: Any, n: int) -> IdMap:
    """`ids` as a map; None: the indices 0..n-1 are the ids."""
    if isinstance(ids, IdMap):
        return ids
    return IdMap.from_ids(np.arange(n) if ids is None else ids)


def by_locale(pin_locale: Any, n_pins: int, n_locales: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pins renumbered by (locale, index), from one locale code a pin; `n_locales` None: as many as the codes say.

    Returns the old index of each new one int64[n_pins], the new index of each old one int32[n_pins], and where each
    locale's pins begin, int64[n_locales + 1]. Raises DataError.
    """
    codes = np.asarray(pin_locale, np.int64)
    count = int(codes.max(initial=-1)) + 1 if n_locales is None else n_locales
    if codes.size != n_pins or (n_pins and (int(codes.min()) < 0 or int(codes.max()) >= count)):
        raise DataError(f"pin_locale needs one code in 0..{count - 1} for each of {n_pins} pins")
    order = np.argsort(codes, kind="stable")
    rank = np.empty(n_pins, np.int32)
    rank[order] = np.arange(n_pins, dtype=np.int32)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=count))]).astype(np.int64)
    return order, rank, bounds
