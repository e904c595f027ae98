"""Which pins of a graph are taken down: by their own ids, and those that lie on removed boards alone. NumPy only."""

from functools import partial

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.contract.ids import Id
from cluster.control.removals import Removals, Removed
from cluster.graph.any_graph import AnyGraph
from cluster.graph.ids import IdMap
from serving.request.per_graph import PerGraph

NOTHING = np.empty(0, np.int32)


class Withheld:
    """Worked out once for each graph and change. Thread-safe."""

    def __init__(self, removals: Removals):
        self._removals = removals
        self._made = (Removed(), PerGraph(partial(withheld_pins, Removed()), keep=3))

    def of(self, catalog: Catalog) -> np.ndarray:
        """Pins of the catalog, int32, sorted: as of this moment, whichever process took them down."""
        removed = self._removals.now()
        known, pins = self._made
        if removed is not known:
            pins = PerGraph(partial(withheld_pins, removed), keep=3)
            self._made = (removed, pins)
        return pins.of(catalog)

    def has_board(self, board: Id | None) -> bool:
        """Whether the board may not even be named."""
        return board in self._removals.now().boards


def withheld_pins(removed: Removed, catalog: Catalog) -> np.ndarray:
    """int32, sorted. A pin that somebody else has on a board of theirs stays when one of its boards goes."""
    if not removed.pins and not removed.boards:
        return NOTHING
    graph = catalog.graph
    return np.union1d(_known(graph.pin_ids, removed.pins), _only_on(graph, _known(graph.board_ids, removed.boards)))


def _known(ids: IdMap, named: frozenset[Id]) -> np.ndarray:
    found = ids.index_of(list(named)) if named else NOTHING
    return found[found >= 0]


def _only_on(graph: AnyGraph, boards: np.ndarray) -> np.ndarray:
    """Pins of which all boards are among `boards`."""
    if not len(boards):
        return NOTHING
    pins, held = np.unique(np.concatenate([graph.pins_of(int(board)) for board in boards]), return_counts=True)
    return pins[held == graph.pin_degree[pins]].astype(np.int32)
