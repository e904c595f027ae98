"""Whether every index in a graph leads to a node or an edge of it. Walks trust that, and would leave the array else."""

from collections.abc import Collection

import numpy as np

from cluster.errors import BundleError
from cluster.graph.any_graph import AnyGraph
from cluster.graph.bounds import CHUNK, check_offsets, check_within
from cluster.graph.csr import Graph
from cluster.graph.packing import DEGREE_BITS, DEGREE_MAX, Links

_BITS = np.uint64(DEGREE_BITS)
_MAX = np.uint64(DEGREE_MAX)


def check_graph(graph: AnyGraph, parts: Collection[int] | None = None) -> None:
    """Reads all of it once; of a graph in parts, the edges of `parts` alone (None: of all).

    Raises BundleError that names what is wrong.
    """
    graph.pin_ids.check("ids of pins")
    graph.board_ids.check("ids of boards")
    if graph.locale_bounds is not None:
        check_offsets("bounds of locales", graph.locale_bounds, graph.n_pins)
    _check_indices(graph)
    for at, part in enumerate(graph.parts):
        if parts is None or at in parts or part is graph:
            _check_edges(part)


def _check_indices(graph: AnyGraph) -> None:
    _check_index("edges of pins", graph.pin_index, graph.n_edges)
    _check_index("edges of boards", graph.board_index, graph.n_edges)


def _check_edges(graph: Graph) -> None:
    _check_indices(graph)
    _check_targets("boards of pins", graph.pin_boards, graph.board_index)
    _check_targets("pins of boards", graph.board_pins, graph.pin_index)
    if graph.links is not None:
        _check_links(graph, graph.links)


def _check_index(what: str, index: np.ndarray, n_edges: int) -> None:
    """The words of `pack_offsets`: ascending offsets up to `n_edges`, and the degrees that follow from them."""
    last = int(index[-1] >> _BITS)
    if int(index[0] >> _BITS) != 0 or last != n_edges:
        raise BundleError(f"{what} do not run from 0 to {n_edges}; build the graph again")
    for start in range(0, index.size - 1, CHUNK):
        part = index[start : start + CHUNK + 1]
        offsets = part >> _BITS
        if bool(np.any(offsets[1:] < offsets[:-1])):
            raise BundleError(f"offsets of {what} fall; build the graph again")
        if bool(np.any((part[:-1] & _MAX) != np.minimum(np.diff(offsets), _MAX))):
            raise BundleError(f"offsets and degrees of {what} disagree; build the graph again")


def _check_targets(what: str, targets: np.ndarray, index: np.ndarray) -> None:
    """Nodes of the other half that have edges themselves: a walk that arrives has to leave again."""
    check_within(what, targets, 0, index.size - 1)
    empty = (index[:-1] & _MAX) == 0
    if not bool(empty.any()):
        return
    for start in range(0, targets.size, CHUNK):
        if bool(np.any(empty[targets[start : start + CHUNK]])):
            raise BundleError(f"{what} lead to some without an edge; build the graph again")


def _check_links(graph: Graph, links: Links) -> None:
    """Each link names a range of edges in the other half, or leaves that to the index, which has been checked."""
    shift = np.uint64(links.id_shift)
    width = np.uint64(links.degree_bits)
    full = np.uint64((1 << links.degree_bits) - 1)
    below_id = (np.uint64(1) << shift) - np.uint64(1)
    n_edges = np.uint64(graph.n_edges)
    for start in range(0, graph.n_edges, CHUNK):
        word = links.pin_boards[start : start + CHUNK]
        _check_ranges("boards", word >> _BITS, word & _MAX, n_edges)
        word = links.board_pins[start : start + CHUNK]
        check_within("links to pins", word >> shift, 0, graph.n_pins)
        told = (word & full) != full
        _check_ranges("pins", ((word & below_id) >> width)[told], (word & full)[told], n_edges)


def _check_ranges(what: str, offset: np.ndarray, degree: np.ndarray, n_edges: np.uint64) -> None:
    if bool(np.any((degree == 0) | (offset + degree > n_edges))):
        raise BundleError(f"links to {what} lead outside the edges; build the graph again")
