"""Edges by id to distinct edges by dense rank, for a table or a partition of it. Knows nothing of files or Ray."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.data.cleaning import FILE, Tally
from cluster.graph.ids import IdMap
from cluster.graph.span import Span
from cluster.settings.project import GraphSettings

UNKNOWN_PIN = "pin_id is not among the pins"
REPEATED = "edge is there twice (the newest saved_at is kept)"
NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True)
class IndexedEdges:
    """Distinct edges in the order of (board, pin); ranks index the sorted ids."""

    board_ids: pa.Array  # sorted, each with an edge
    pin_ids: pa.Array  # sorted, each with an edge but for those of `with_pins`
    boards: np.ndarray  # int32[E]
    pins: np.ndarray  # int32[E]
    saved: np.ndarray | None  # int64[E] microseconds, NO_TIME where unknown; None when no edge has one

    def with_pins(self, ids: pa.Array | None) -> "IndexedEdges":
        """The same edges, where the pins `ids` have a rank as well, with an edge or without; None: no others."""
        if ids is None:
            return self
        every, ranks = rank(pa.concat_arrays([self.pin_ids, ids]))
        return replace(self, pin_ids=every, pins=ranks[: len(self.pin_ids)][self.pins])

    def pin_counts(self, span: Span) -> tuple[np.ndarray, np.ndarray]:
        """Per pin, int32[n_pins]: edges with a time, and those in the newest tenth of `span`."""
        n, start = len(self.pin_ids), span.recent_from
        if self.saved is None or start is None:
            return np.zeros(n, np.int32), np.zeros(n, np.int32)
        dated = np.bincount(self.pins[self.saved != NO_TIME], minlength=n).astype(np.int32)
        return dated, np.bincount(self.pins[self.saved >= start], minlength=n).astype(np.int32)


def rank(ids: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The distinct ids in ascending order, and each id's rank among them, int32[n].

    int64 ids in a narrow range are ranked by a table over the range, without sorting or hashing.
    """
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    if pa.types.is_integer(ids.type):
        values = ids.to_numpy()
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        if high - low < 4 * len(values) + (1 << 20):
            seen = np.zeros(high - low + 1, bool)
            seen[values - low] = True
            ranks = np.cumsum(seen, dtype=np.int32) - np.int32(1)
            return pa.array(np.flatnonzero(seen) + low if len(values) else values), ranks[values - low]
    encoded = ids.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return encoded.dictionary.take(pa.array(order)), ranks[encoded.indices.to_numpy()]


def index_edges(
    table: pa.Table, settings: GraphSettings, tally: Tally, known_pins: IdMap | None = None
) -> IndexedEdges:
    """Distinct edges of cleaned rows that hold whole boards.

    Counted drops: pins that `known_pins` lacks, repeated edges (the newest saved_at is kept), boards of a size that the
    settings leave out. Ids without an edge left have no rank.
    """
    board_ids, boards = rank(table["board_id"])
    pin_ids, pins = rank(table["pin_id"])
    saved = _times(table)
    if known_pins is not None and len(pin_ids):
        known = known_pins.index_of(pin_ids) >= 0
        if not known.all():
            keep = known[pins]
            tally.dropped[UNKNOWN_PIN] += int(len(keep) - keep.sum())
            tally.met(UNKNOWN_PIN, table, np.flatnonzero(~keep))
            boards = boards[keep]
            pins = pins[keep]
            saved = None if saved is None else saved[keep]
            table = table.filter(pa.array(keep)) if FILE in table.column_names else table
    total = len(boards)
    key = boards.astype(np.int64) << 32 | pins
    if saved is None:
        key.sort()
    else:
        order = np.argsort(key)
        key = key[order]
        saved = saved[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if total else np.empty(0, np.int64)
    if len(starts) < total:
        tally.dropped[REPEATED] += total - len(starts)
        if FILE in table.column_names:
            tally.met(REPEATED, table, _first_repeat(boards, pins))
        key = key[starts]
        saved = None if saved is None else np.maximum.reduceat(saved, starts)
    boards = (key >> 32).astype(np.int32)
    pins = (key & 0xFFFFFFFF).astype(np.int32)
    boards, pins, saved = _prune_boards(boards, pins, saved, len(board_ids), settings, tally)
    board_ids, boards = _compact(board_ids, boards)
    pin_ids, pins = _compact(pin_ids, pins)
    return IndexedEdges(board_ids, pin_ids, boards, pins, saved)


def _first_repeat(boards: np.ndarray, pins: np.ndarray) -> np.ndarray:
    """The first position, int64[1], whose edge stands before it already."""
    key = boards.astype(np.int64) << 32 | pins
    order = np.argsort(key, kind="stable")
    again = order[1:][key[order[1:]] == key[order[:-1]]]
    return again.min(keepdims=True) if len(again) else again


def _times(table: pa.Table) -> np.ndarray | None:
    if "saved_at" not in table.column_names or table["saved_at"].null_count == len(table):
        return None
    return table["saved_at"].cast(pa.int64()).fill_null(NO_TIME).to_numpy()


def _prune_boards(
    boards: np.ndarray, pins: np.ndarray, saved: np.ndarray | None, n_boards: int, settings: GraphSettings, tally: Tally
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    size = np.bincount(boards, minlength=n_boards)
    small = size < settings.min_board_pins
    large = ~small & (size > (settings.max_board_pins or len(boards)))
    if not (size[small].any() or large.any()):
        return boards, pins, saved
    for bad, what in ((small, "fewer pins than graph.min_board_pins"), (large, "more pins than graph.max_board_pins")):
        if size[bad].any():
            tally.dropped[f"board has {what}"] += int(size[bad].sum())
    keep = ~(small | large)[boards]
    return boards[keep], pins[keep], None if saved is None else saved[keep]


def _compact(ids: pa.Array, index: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    used = np.zeros(len(ids), bool)
    used[index] = True
    if used.all():
        return ids, index
    return ids.filter(pa.array(used)), (np.cumsum(used, dtype=np.int32) - np.int32(1))[index]
