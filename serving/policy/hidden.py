"""The pins of boards and topics that a user hid, in terms of a graph. NumPy only."""

from collections.abc import Collection

import numpy as np

from cluster.catalog.catalog import Catalog
from serving.request.ask import Id
from serving.request.per_graph import PerGraph

NOTHING = np.empty(0, np.int32)


class HiddenPins:
    """All pins on a hidden board, whoever else has them, and all that have a hidden topic. Thread-safe."""

    def __init__(self) -> None:
        self._of_topics: PerGraph[dict[str, np.ndarray]] = PerGraph(lambda catalog: {}, keep=3)

    def of(self, catalog: Catalog, boards: Collection[Id], topics: Collection[str]) -> np.ndarray:
        """int32, sorted. What the graph does not have counts for nothing."""
        if not boards and not topics:
            return NOTHING
        graph = catalog.graph
        index = graph.board_ids.index_of(list(boards)) if boards else NOTHING
        parts = [graph.pins_of(int(board)) for board in index[index >= 0]]
        parts += [self._of_topic(catalog, topic) for topic in topics]
        return np.unique(np.concatenate([NOTHING, *parts])).astype(np.int32)

    def _of_topic(self, catalog: Catalog, topic: str) -> np.ndarray:
        known = self._of_topics.of(catalog)
        if topic not in catalog.pins.vocabulary.topics:
            return NOTHING
        if topic not in known:
            column = catalog.pins.vocabulary.topics.index(topic)
            known[topic] = np.flatnonzero(catalog.pins.topics[:, column] > 0).astype(np.int32)
        return known[topic]
