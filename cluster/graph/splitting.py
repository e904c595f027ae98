"""Boards of a graph dealt to parts, and the graph of one part. Knows nothing of walks or Ray.

A part has some boards with all their pins. Pins and boards keep their indices in every part, so an index means the same
everywhere; a pin's boards are spread over the parts.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.graph.files import save_indices, write_facts
from cluster.graph.packing import FILES, Wanted, linkable, pack_offsets, write_links
from cluster.graph.sharded import ShardedGraph, part_folder
from cluster.hashing import hash_ids
from cluster.settings.graph import MOST_SHARDS, GraphSettings

CHUNK = 1 << 22  # edges dealt at a time: bounds the memory


class Make(Protocol):
    """Makes the array of a part that a file is named after."""

    def __call__(self, name: str, size: int) -> np.ndarray:
        """int32[size], to be filled."""
        ...


def part_of_boards(graph: Graph, parts: int) -> np.ndarray:
    """int16[n_boards]: the part of each board, by `part_of_ids`. Raises ConfigError for no or too many parts."""
    return part_of_ids(graph.board_ids.ids_of(np.arange(graph.n_boards)), parts)


def part_of_ids(board_ids: Any, parts: int) -> np.ndarray:
    """int16[n]: the part of each board, from the hash of its id: a board stays where it is when others come.

    By chance and not by the pins that boards share, because walks over such parts are more like those over the whole
    graph (docs/experiments/walk.md). Raises ConfigError for no or too many parts.
    """
    if not 1 <= parts <= MOST_SHARDS:
        raise ConfigError(f"parts of a graph must be 1..{MOST_SHARDS}, got {parts}")
    return (hash_ids(board_ids) % parts).astype(np.int16)


def with_boards(graph: Graph, mine: np.ndarray, make: Make | None = None) -> Graph:
    """The graph of the boards in `mine` bool[n_boards], without locales and links; others have no pins.

    In memory, or in the arrays of `make`: the edges are read once, in their order, a chunk at a time.
    """
    n_edges = int(graph.board_degree[mine].sum(dtype=np.int64))
    make = make or _in_memory
    board_pins = make("board_pins", n_edges)
    pin_boards = make("pin_boards", n_edges)
    degrees = np.where(mine, graph.board_degree, 0)
    _keep_rows(graph.board_offsets, graph.board_pins, mine, board_pins)
    of_pins = _keep_ends(graph.pin_offsets, graph.pin_boards, mine, pin_boards)
    return Graph(_packed(of_pins), pin_boards, _packed(degrees), board_pins, graph.pin_ids, graph.board_ids)


def split(graph: Graph, parts: int) -> list[Graph]:
    """The graph of each of `part_of_boards`, in memory."""
    part = part_of_boards(graph, parts)
    return [with_boards(graph, part == at) for at in range(parts)]


def lay_out(folder: Path, graph: Graph, settings: GraphSettings) -> None:
    """The last step of a build: what stands in `folder`, where `graph` was saved, becomes what the settings want.

    Links are written, or the edges dealt to parts and taken out of the folder itself. `graph` may still be mapped from
    there, and stays of use.
    """
    if settings.shards == 1:
        write_links(folder, graph.halves, settings.links)
        return
    part = part_of_boards(graph, settings.shards)
    links: Wanted = settings.links
    if links == "auto":  # what twice the memory is worth is a question of the whole, whose parts are all small
        links = "yes" if linkable(graph.halves, "auto") else "no"
    for at in range(settings.shards):
        below = part_folder(folder, at)
        below.mkdir()
        mine = with_boards(graph, part == at, lambda name, size, below=below: _mapped(below / f"{name}.npy", size))
        save_indices(below, mine)
        write_links(below, mine.halves, links)
    facts = (graph.n_pins, graph.n_boards, graph.n_edges, graph.locales)
    write_facts(folder, *facts, shards=settings.shards)  # the indices stay: written anew, those mapped would be cut off
    for name in ("pin_boards.npy", "board_pins.npy", *FILES):
        (folder / name).unlink(missing_ok=True)


def in_parts(graph: Graph, parts: int) -> Graph | ShardedGraph:
    """The graph as a build with `graph.shards: parts` leaves it, in memory."""
    if parts == 1:
        return graph
    return ShardedGraph.of(split(graph, parts), graph.pin_ids, graph.board_ids, graph.locale_bounds, graph.locales)


def _in_memory(name: str, size: int) -> np.ndarray:
    return np.empty(size, np.int32)


def _mapped(path: Path, size: int) -> np.ndarray:
    if not size:  # nothing that could be mapped
        np.save(path, np.empty(0, np.int32))
        return np.empty(0, np.int32)
    made: np.ndarray = np.lib.format.open_memmap(path, "w+", np.int32, (size,))
    return made


def _keep_rows(offsets: np.ndarray, edges: np.ndarray, mine: np.ndarray, out: np.ndarray) -> None:
    """The edges of the marked nodes' rows, one after the other."""
    filled = 0
    for rows in _chunks(offsets):
        kept = np.repeat(mine[rows], np.diff(offsets[rows.start : rows.stop + 1]))
        found = edges[offsets[rows.start] : offsets[rows.stop]][kept]
        out[filled : filled + len(found)] = found
        filled += len(found)


def _keep_ends(offsets: np.ndarray, edges: np.ndarray, mine: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The edges that lead to marked nodes, and how many each row has of them: int64[n]."""
    counts = np.zeros(len(offsets) - 1, np.int64)
    filled = 0
    for rows in _chunks(offsets):
        read = edges[offsets[rows.start] : offsets[rows.stop]]
        kept = mine[read]
        found = read[kept]
        out[filled : filled + len(found)] = found
        filled += len(found)
        upto = np.concatenate([[0], np.cumsum(kept)])
        ends = offsets[rows.start : rows.stop + 1] - offsets[rows.start]
        counts[rows] = np.diff(upto[ends])
    return counts


def _chunks(offsets: np.ndarray) -> list[slice]:
    """Rows in runs of some CHUNK edges."""
    cuts = np.searchsorted(offsets, np.arange(CHUNK, int(offsets[-1]), CHUNK))
    ends = np.unique(np.concatenate([[0], cuts, [len(offsets) - 1]])).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def _packed(degrees: np.ndarray) -> np.ndarray:
    return pack_offsets(np.concatenate([[0], np.cumsum(degrees, dtype=np.int64)]).astype(np.int64))
