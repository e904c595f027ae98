"""Boards of a graph dealt to parts, and the graph of one part. Knows nothing of walks, files or Ray.

A part has some boards with all their pins. Pins and boards keep their indices in every part, so an index means the same
everywhere; a pin's boards are spread over the parts.
"""

from __future__ import annotations

import numpy as np

from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.hashing import hash_ids

MOST_PARTS = 1024


def part_of_boards(graph: Graph, parts: int) -> np.ndarray:
    """int16[n_boards]: the part of each board, from the hash of its id: a board stays where it is when others come.

    By chance and not by the pins that boards share, because walks over such parts are more like those over the whole
    graph (docs/experiments/walk.md). Raises ConfigError for no or too many parts.
    """
    if not 1 <= parts <= MOST_PARTS:
        raise ConfigError(f"parts of a graph must be 1..{MOST_PARTS}, got {parts}")
    return (hash_ids(graph.board_ids.ids_of(np.arange(graph.n_boards))) % parts).astype(np.int16)


def with_boards(graph: Graph, mine: np.ndarray) -> Graph:
    """The graph of the boards in `mine` bool[n_boards], in memory, without locales and links; others have no pins."""
    held = np.repeat(mine, graph.board_degree)
    boards = np.repeat(np.arange(graph.n_boards, dtype=np.int32), graph.board_degree)[held]
    pins = np.asarray(graph.board_pins)[held]
    return Graph.from_edges(boards, pins, graph.n_boards, graph.n_pins, graph.pin_ids, graph.board_ids)


def split(graph: Graph, parts: int) -> list[Graph]:
    """The graph of each of `part_of_boards`."""
    part = part_of_boards(graph, parts)
    return [with_boards(graph, part == at) for at in range(parts)]
