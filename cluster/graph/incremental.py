"""Adds a day's edges to a graph by merging sorted rows: linear, nothing old is sorted. Knows nothing of Ray.

New boards come after the old ones, new pins at the end of their locale, so ids lie in another order than after a full
build; the graph is otherwise the same. Boards are not pruned by size here: that happens at the next full build.
"""

from pathlib import Path
from typing import Protocol

import numba as nb
import numpy as np
import pyarrow as pa

from cluster.data.cleaning import Tally
from cluster.graph.any_graph import AnyGraph
from cluster.graph.csr import Graph
from cluster.graph.csr_sort import group, transpose
from cluster.graph.edges import IndexedEdges, index_edges
from cluster.graph.ids import IdMap
from cluster.graph.packing import Halves, pack_offsets, write_links
from cluster.graph.sharded import ShardedGraph, open_graph, part_folder
from cluster.graph.splitting import part_of_ids
from cluster.settings.project import GraphSettings

ALREADY_THERE = "edge is in the graph already (it counts once)"
"""How tallies call edges that a merge does not add."""


class LocaleOf(Protocol):
    """Locale names of pins, None where unknown."""

    def __call__(self, pin_ids: pa.Array) -> list[str | None]:
        """One name per pin id."""
        ...


def add_edges(
    graph: AnyGraph,
    edges: pa.Table,
    folder: Path,
    tally: Tally,
    *,
    known_pins: IdMap | None = None,
    locale_of: LocaleOf | None = None,
) -> AnyGraph:
    """Writes `folder` with the graph and the cleaned `edges` together, and opens it; edges that were there count once.

    `locale_of` gives the locales of new pins, for a graph with locales; one that the graph does not know counts as
    unknown.
    """
    new = index_edges(edges, GraphSettings(), tally, known_pins)
    merged = merge(graph, new, folder, locale_of=locale_of)
    tally.dropped[ALREADY_THERE] += graph.n_edges + len(new.pins) - merged.n_edges
    return merged


def merge(graph: AnyGraph, new: IndexedEdges, folder: Path, *, locale_of: LocaleOf | None = None) -> AnyGraph:
    """`add_edges` for edges that are indexed already. Of a graph in parts one part at a time is in memory."""
    board_ids, boards, _ = _extended(graph.board_ids, new.board_ids, None, None)
    codes = None if graph.locales is None else _codes(graph.locales, new.pin_ids, locale_of)
    pin_ids, pins, moved = _extended(graph.pin_ids, new.pin_ids, graph.locale_bounds, codes)
    bounds = None
    if graph.locale_bounds is not None and codes is not None:
        fresh = graph.pin_ids.index_of(new.pin_ids) < 0
        added = np.bincount(codes[fresh], minlength=len(graph.locale_bounds) - 1)
        bounds = graph.locale_bounds + np.concatenate([[0], np.cumsum(added)])
    new_boards = boards[new.boards]
    new_pins = pins[new.pins]
    if isinstance(graph, Graph):
        made = Graph(
            *_grown(graph, new_boards, new_pins, moved, len(pin_ids), len(board_ids)),
            pin_ids,
            board_ids,
            bounds,
            graph.locales,
        )
        made.save(folder)
        if graph.links is not None:
            write_links(folder, made.halves)
        return Graph.open(folder)
    owner = part_of_ids(board_ids.ids_of(new_boards), len(graph.parts))
    parts = []
    for at, part in enumerate(graph.parts):
        mine = owner == at
        below = part_folder(folder, at)
        grown = Graph(
            *_grown(part, new_boards[mine], new_pins[mine], moved, len(pin_ids), len(board_ids)), pin_ids, board_ids
        )
        grown.save_edges(below)
        if part.links is not None:
            write_links(below, grown.halves)
        parts.append(Graph.open(below, (pin_ids, board_ids)))
    ShardedGraph.of(parts, pin_ids, board_ids, bounds, graph.locales).save_whole(folder)
    return open_graph(folder)


def _grown(graph: Graph, boards: np.ndarray, pins: np.ndarray, moved: np.ndarray, n_pins: int, n_boards: int) -> Halves:
    """The halves of a graph with more edges, by new indices; its own pins are `moved` to where they lie by now."""
    offsets, grouped = group(boards, pins, n_boards)
    # two transposes leave the rows of both halves ascending
    pin_offsets, by_pin = transpose(offsets, grouped, n_pins)
    offsets, by_board = transpose(pin_offsets, by_pin, n_boards)
    old_boards = np.arange(graph.n_boards, dtype=np.int32)
    board_index, board_pins = _merged(graph.board_offsets, graph.board_pins, old_boards, moved, offsets, by_board)
    pin_index, pin_boards = _merged(graph.pin_offsets, graph.pin_boards, moved, old_boards, pin_offsets, by_pin)
    return pack_offsets(pin_index), pin_boards, pack_offsets(board_index), board_pins


def held(graph: AnyGraph, edges: IndexedEdges) -> np.ndarray:
    """bool[E]: which of the edges the graph has already."""
    boards = graph.board_ids.index_of(edges.board_ids)
    pins = graph.pin_ids.index_of(edges.pin_ids)
    out = np.zeros(len(edges.pins), np.bool_)
    for part in graph.parts:
        found = np.zeros_like(out)
        find_edges(part.board_offsets, part.board_pins, boards[edges.boards], pins[edges.pins], found)
        out |= found
    return out


def moved_pins(old: AnyGraph, merged: AnyGraph) -> np.ndarray:
    """int32[old.n_pins]: where the pins of `old` lie in a graph that was merged from it."""
    index = np.arange(old.n_pins, dtype=np.int32)
    if old.locale_bounds is None or merged.locale_bounds is None:
        return index
    shift = merged.locale_bounds[:-1] - old.locale_bounds[:-1]
    return index + np.repeat(shift, np.diff(old.locale_bounds)).astype(np.int32)


def _codes(locales: list[str], pin_ids: pa.Array, locale_of: LocaleOf | None) -> np.ndarray:
    """Locale code of each pin; the last one, "", is unknown."""
    known = {name: code for code, name in enumerate(locales)}
    names = [None] * len(pin_ids) if locale_of is None else locale_of(pin_ids)
    return np.array([known.get(name or "", len(locales) - 1) for name in names], np.int64)


def _extended(
    old: IdMap, ids: pa.Array, bounds: np.ndarray | None, codes: np.ndarray | None
) -> tuple[IdMap, np.ndarray, np.ndarray]:
    """The map with new ids, the indices int32 of `ids` in it, and the new indices int32 of the old ones."""
    index = old.index_of(ids)
    fresh = np.flatnonzero(index < 0)
    moved = np.arange(len(old), dtype=np.int32)
    if bounds is not None and codes is not None:
        fresh = fresh[np.argsort(codes[fresh], kind="stable")]
        added = np.bincount(codes[fresh], minlength=len(bounds) - 1)
        before = np.concatenate([[0], np.cumsum(added)])
        moved += np.repeat(before[:-1], np.diff(bounds)).astype(np.int32)
        fresh_index = bounds[codes[fresh] + 1] + np.arange(len(fresh))
    else:
        fresh_index = len(old) + np.arange(len(fresh))
    if not len(fresh):
        return old, index, moved
    kind = np.int64 if old.dtype == "int64" else object
    merged = np.empty(len(old) + len(fresh), kind)
    merged[moved] = old.ids_of(np.arange(len(old)))
    merged[fresh_index] = ids.take(pa.array(fresh)).to_numpy(zero_copy_only=False)
    out = np.where(index >= 0, moved[np.maximum(index, 0)] if len(old) else index, -1).astype(np.int32)
    out[fresh] = fresh_index
    return IdMap.from_ids(merged), out, moved


def _merged(
    offsets: np.ndarray,
    values: np.ndarray,
    row_of: np.ndarray,
    value_of: np.ndarray,
    new_offsets: np.ndarray,
    new_values: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    out = np.empty(len(values) + len(new_values), np.int32)
    source = np.full(len(new_offsets) - 1, -1, np.int32)
    source[row_of] = np.arange(len(row_of), dtype=np.int32)
    out_offsets = merge_rows(offsets, values, source, value_of, new_offsets, new_values, out)
    return out_offsets, out[: out_offsets[-1]]


@nb.njit(cache=True, nogil=True)
def find_edges(offsets, board_pins, boards, pins, out):  # type: ignore[no-untyped-def]
    """Looks each (board, pin) up in the board's ascending row; -1 is found nowhere."""
    for edge in range(out.size):
        if boards[edge] < 0 or pins[edge] < 0:
            continue
        start = offsets[boards[edge]]
        end = offsets[boards[edge] + 1]
        at = start + np.searchsorted(board_pins[start:end], pins[edge])
        out[edge] = at < end and board_pins[at] == pins[edge]


@nb.njit(cache=True, nogil=True)
def merge_rows(offsets, values, source, value_of, new_offsets, new_values, out):  # type: ignore[no-untyped-def]
    """Row by row, the ascending union of old values (renamed by `value_of`, which keeps their order) and new ones."""
    out_offsets = np.zeros(new_offsets.size, np.int64)
    at = 0
    for row in range(new_offsets.size - 1):
        a = 0
        b = 0
        if source[row] >= 0:
            a = offsets[source[row]]
            b = offsets[source[row] + 1]
        c = new_offsets[row]
        d = new_offsets[row + 1]
        while a < b and c < d:
            x = value_of[values[a]]
            y = new_values[c]
            if x <= y:
                out[at] = x
                a += 1
                if x == y:
                    c += 1
            else:
                out[at] = y
                c += 1
            at += 1
        while a < b:
            out[at] = value_of[values[a]]
            a += 1
            at += 1
        while c < d:
            out[at] = new_values[c]
            c += 1
            at += 1
        out_offsets[row + 1] = at
    return out_offsets
