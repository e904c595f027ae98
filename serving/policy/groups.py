"""What the policy's caps count by: the main topic of each pin and the board it is shown for. NumPy only."""

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.graph.any_graph import AnyGraph
from cluster.graph.csr import Graph
from cluster.graph.packing import unpack_offsets

MOST_BOARDS = 32
"""Boards of a pin that are looked at, spread evenly: a hub has thousands, and any of them stands for it."""


def main_topics(catalog: Catalog, pins: np.ndarray) -> np.ndarray:
    """The strongest topic of each pin, int16[k]; -1 for a pin without topics."""
    topics = catalog.pins.topics[pins]
    return np.where(topics.any(axis=1), topics.argmax(axis=1), -1).astype(np.int16)


def shared_boards(graph: AnyGraph, pins: np.ndarray) -> np.ndarray:
    """The board of each pin that holds most of `pins`, int32[k]; the lower index wins a tie, -1 for a pin without any.

    A pin lies on many boards; the one it shares with most of the other survivors is the one a user would recognise as
    "all from the same place".
    """
    if not len(pins):
        return np.empty(0, np.int32)
    of_parts = [_boards_of(part, graph.pin_degree[pins], pins) for part in graph.parts]
    owner, boards = (np.concatenate(columns) for columns in zip(*of_parts, strict=True))
    _, code, count = np.unique(boards, return_inverse=True, return_counts=True)
    best = np.lexsort((boards, -count[code], owner))
    first = best[np.unique(owner[best], return_index=True)[1]]
    out = np.full(len(pins), -1, np.int32)
    out[owner[first]] = boards[first]
    return out


def _boards_of(part: Graph, whole: np.ndarray, pins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `pins` and boards of theirs, at most MOST_BOARDS each: this part's share of the `whole` ones."""
    start, end = unpack_offsets(part.pin_index[pins]), unpack_offsets(part.pin_index[pins + 1])
    degree = end - start
    taken = -(-np.minimum(whole, MOST_BOARDS) * degree // np.maximum(whole, 1))
    owner = np.repeat(np.arange(len(pins)), taken)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(taken) - taken, taken)
    return owner, part.pin_boards[start[owner] + nth * degree[owner] // np.maximum(taken[owner], 1)]
