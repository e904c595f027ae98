"""A graph with a few more edges than its bundle, without a copy of it. Knows nothing of where they come from.

Rows that gain an edge are written anew behind all others, and their words in the index lead there: no walk, and no
reader of words, sees a difference. The old rows stay where they are and nothing leads there. Such a graph has no links:
with them every edge of a board that gains a pin would be written to, each on a page of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.errors import BundleError
from cluster.graph.any_graph import AnyGraph
from cluster.graph.csr import Graph
from cluster.graph.edges import IndexedEdges
from cluster.graph.ids import IdMap
from cluster.graph.ids_appended import AppendedIds
from cluster.graph.incremental import merge_rows
from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX
from cluster.graph.sharded import ShardedGraph
from cluster.graph.splitting import part_of_ids
from cluster.store.roomy import with_room

_BITS = np.uint64(DEGREE_BITS)


@dataclass(frozen=True)
class Half:
    """What each pin's (or board's) row gains, by indices of the graph with the new nodes behind."""

    nodes: np.ndarray  # int32[E], in the order of (node, other)
    others: np.ndarray  # int32[E]

    @classmethod
    def of(cls, nodes: np.ndarray, others: np.ndarray) -> "Half":
        """From edges in any order."""
        order = np.lexsort((others, nodes))
        return cls(nodes[order], others[order])


def with_edges(base: AnyGraph, new: IndexedEdges) -> AnyGraph:
    """`base` and `new` together; edges that it has are not among `new`. New pins and boards lie behind all others.

    `pins_of`, degrees and words hold; `pin_offsets` and `board_offsets` say where rows begin, not where they end.
    Raises BundleError for a graph with a node of 2^24 edges, whose end the next word tells, and OSError.
    """
    if max(base.max_pin_degree, int(base.board_degree.max(initial=0))) + len(new.pins) >= DEGREE_MAX:
        raise BundleError("a pin or board of some 2^24 edges: new edges wait for `pinfunnel add-edges`")
    pin_ids, pins = _appended(base.pin_ids, new.pin_ids)
    board_ids, boards = _appended(base.board_ids, new.board_ids)
    pins, boards = pins[new.pins], boards[new.boards]
    nodes = (pin_ids, board_ids, base.locale_bounds, base.locales)
    if isinstance(base, Graph):
        return _with_rows(base, pins, boards, *nodes)
    owner = part_of_ids(board_ids.ids_of(boards), len(base.parts))
    parts = []
    for at, part in enumerate(base.parts):
        mine = owner == at
        parts.append(_with_rows(part, pins[mine], boards[mine], pin_ids, board_ids))
    pin_index = _counted(base.pin_index, len(pin_ids), pins)
    board_index = _counted(base.board_index, len(board_ids), boards)
    return ShardedGraph(pin_index, board_index, parts, *nodes)


def _with_rows(
    base: Graph,
    pins: np.ndarray,
    boards: np.ndarray,
    pin_ids: IdMap,
    board_ids: IdMap,
    locale_bounds: np.ndarray | None = None,
    locales: Sequence[str] | None = None,
) -> Graph:
    """A graph in one piece, or a part, with edges between pins int32[E] and boards int32[E] of the new id maps."""
    pin_half = _grown(base.pin_index, base.pin_boards, len(pin_ids), Half.of(pins, boards), base.n_boards)
    board_half = _grown(base.board_index, base.board_pins, len(board_ids), Half.of(boards, pins), base.n_pins)
    made = Graph(*pin_half, *board_half, pin_ids, board_ids, locale_bounds, locales)
    made.n_edges = base.n_edges + len(pins)
    return made


def _counted(index: np.ndarray, n: int, nodes: np.ndarray) -> np.ndarray:
    """The words uint64[n + 1] of a whole whose edges lie in parts: degrees alone, one more for each of `nodes`."""
    words = with_room(index, n + 1)
    words[len(index) - 1 :] = ((index[-1] >> _BITS) + np.uint64(len(nodes))) << _BITS
    touched, counts = np.unique(nodes, return_counts=True)
    words[touched] += counts.astype(np.uint64)
    return words


def _appended(old: IdMap, ids: object) -> tuple[IdMap, np.ndarray]:
    """The map with new ids behind, in the order of `ids`, and the indices int32 of all `ids` in it."""
    unknown = old.index_of(ids) < 0
    made = AppendedIds(old, ids.filter(unknown)) if unknown.any() else old  # type: ignore[attr-defined]
    return made, made.index_of(ids)


def _grown(index: np.ndarray, edges: np.ndarray, n: int, half: Half, n_others: int) -> tuple[np.ndarray, np.ndarray]:
    """The words uint64[n + 1] and the edges of a half with what it gains."""
    old = len(index) - 1
    touched, counts = np.unique(half.nodes, return_counts=True)
    known = touched[touched < old]
    starts = np.zeros(len(known) + 1, np.int64)
    lengths = (index[known] & np.uint64(DEGREE_MAX)).astype(np.int64)
    np.cumsum(lengths, out=starts[1:])
    rows = np.repeat((index[known] >> _BITS).astype(np.int64) - starts[:-1], lengths) + np.arange(starts[-1])
    room = len(edges) + int(starts[-1]) + len(half.others)
    grown = with_room(edges, room)
    ends = np.concatenate([[0], np.cumsum(counts)])
    source = np.arange(len(touched), dtype=np.int32)  # new nodes have the largest indices
    source[len(known) :] = -1
    same = np.arange(n_others, dtype=np.int32)
    offsets = merge_rows(starts, np.asarray(edges[rows]), source, same, ends, half.others, grown[len(edges) :])
    words = with_room(index, n + 1)
    words[old:] = np.uint64(room) << _BITS
    words[touched] = ((offsets[:-1] + len(edges)).astype(np.uint64) << _BITS) | np.diff(offsets).astype(np.uint64)
    return words, grown
