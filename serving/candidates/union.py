"""The pins of several sources, each once, with every source's rank and score: one pass, compiled.

Pins that may not be shown, and repeats within a source, are passed over before ranks are counted.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numba as nb
import numpy as np

from cluster.graph.packing import frozen
from serving.request.found import FoundPins

_local = threading.local()


class Union(NamedTuple):
    """n pins, in the order in which the sources, one after the other, first have them."""

    pins: np.ndarray  # int32[n]
    rank: np.ndarray  # int32[n, S], among what may be shown; -1: the source did not find it
    score: np.ndarray  # float32[n, S], NaN likewise
    at: np.ndarray  # int32[n, S], where it stands in what the source gave; -1 likewise


def unite(
    found: Sequence[FoundPins], n_pins: int, barred: np.ndarray, exclude: np.ndarray, allowed: np.ndarray | None
) -> Union:
    """Of sources over a graph of `n_pins`, without `barred` int32[b], `exclude` int32[e], sorted, and what is not
    `allowed`, bool[n_pins].
    """
    sizes = [len(one.pins) for one in found]
    total = sum(sizes)
    pins = np.concatenate([np.empty(0, np.int32), *(one.pins for one in found)])
    given = np.concatenate([np.empty(0, np.float32), *(one.score for one in found)])
    union = np.empty(total, np.int32)
    rank, at = (np.full((total, len(found)), -1, np.int32) for _ in range(2))
    score = np.full((total, len(found)), np.nan, np.float32)
    ends = np.cumsum([0, *sizes])
    n = _unite(
        frozen(pins),
        frozen(given),
        ends,
        frozen(np.asarray(barred, np.int32)),
        frozen(np.asarray(exclude, np.int32)),
        frozen(np.empty(0, bool) if allowed is None else allowed),
        _slots(n_pins),
        union,
        rank,
        score,
        at,
    )
    return Union(union[:n], rank[:n], score[:n], at[:n])


def warm() -> None:
    """Compiles, or loads what was compiled before, so that no request waits for it."""
    none = np.empty(0, np.int32)
    unite([FoundPins(np.zeros(1, np.int32), np.ones(1, np.float32))], 1, none, none, None)


def _slots(n_pins: int) -> np.ndarray:
    """This thread's int32[n_pins], all -1: clearing the entries that were used costs less than a new one."""
    slot: np.ndarray | None = getattr(_local, "slot", None)
    if slot is None or len(slot) < n_pins:
        slot = _local.slot = np.full(n_pins, -1, np.int32)
    return slot


@nb.njit(cache=True, nogil=True)
def _unite(pins, given, ends, barred, exclude, allowed, slot, union, rank, score, at):  # type: ignore[no-untyped-def]
    for pin in barred:
        slot[pin] = -2
    n = 0
    for source in range(ends.size - 1):
        standing = 0
        for i in range(ends[source], ends[source + 1]):
            pin = pins[i]
            row = slot[pin]
            if row == -2 or (allowed.size and not allowed[pin]):
                continue
            if row < 0:
                low = np.searchsorted(exclude, pin)
                if low < exclude.size and exclude[low] == pin:
                    continue
                row = n
                slot[pin] = row
                union[row] = pin
                n += 1
            elif rank[row, source] >= 0:
                continue
            rank[row, source] = standing
            score[row, source] = given[i]
            at[row, source] = i - ends[source]
            standing += 1
    for row in range(n):
        slot[union[row]] = -1
    for pin in barred:
        slot[pin] = -1
    return n
