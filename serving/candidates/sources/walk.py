"""The source `walk`: random walks from the query pins over the graph (Pixie), in visit-count order."""

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.walk.walker import Walker, WalkParams
from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Origin, Visits

KEEP = 2
"""Graph versions whose walkers are kept: requests under way finish on the one before."""


@register("walk")
class RandomWalk(CandidateGenerator):
    """Parameters are the client's `walk`; of the graph's size alone depends how long it takes."""

    def __init__(self) -> None:
        self._walkers: dict[str, Walker] = {}

    def prepare(self, catalog: Catalog) -> None:
        """Runs one walk, so that everything is compiled."""
        walker = Walker(catalog.graph)
        popular = np.asarray(catalog.pins.popular(-1, 1), np.int32)
        if len(popular):
            walker.walk_indices(popular, params=WalkParams(steps=1000))
        self._keep(catalog.version, walker)

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """Pins that the walks visited, with visits by query pin; the origin is the query pin with most of them."""
        client = query.client
        found = self._walker(query.catalog).walk_indices(
            query.pins,
            query.weight,
            params=WalkParams(top_k=budget, **client.walk.model_dump()),
            seed=query.ask.seed,
            exclude=query.exclude,
            allowed=query.allowed,
            bias=self._locale_range(query),
        )
        origin = Origin("query_pin", found.by_query.argmax(axis=1).astype(np.int32)) if len(found.pins) else Origin()
        return FoundPins(found.pins, found.scores, origin, Visits(found.visits, found.hits, found.by_query))

    def _walker(self, catalog: Catalog) -> Walker:
        walker = self._walkers.get(catalog.version)
        if walker is None:
            walker = Walker(catalog.graph)
            self._keep(catalog.version, walker)
        return walker

    def _keep(self, version: str, walker: Walker) -> None:
        before = [(v, w) for v, w in self._walkers.items() if v != version]
        self._walkers = dict([*before[1 - KEEP :], (version, walker)])

    @staticmethod
    def _locale_range(query: Query) -> tuple[int, int]:
        if query.client.walk.bias_share <= 0 or query.locale < 0:
            return 0, 0
        return query.catalog.graph.locale_range(query.locale)
