"""The source `walk`: random walks from the query pins over the graph (Pixie), in visit-count order."""

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.walk.sharded import walker_of
from cluster.walk.walker import WalkParams, WalkResult
from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Origin, Visits
from serving.request.per_graph import PerGraph


@register("walk")
class RandomWalk(CandidateGenerator):
    """Parameters are the client's `walk`; of the graph's size alone depends how long it takes.

    Over a graph in parts (`graph.shards`) it walks all of them, one after the other.
    """

    in_place = True

    def __init__(self) -> None:
        self._walkers = PerGraph(lambda catalog: walker_of(catalog.graph))

    def prepare(self, catalog: Catalog) -> None:
        """Runs one walk, so that everything is compiled."""
        walker = self._walkers.renew(catalog)
        if len(popular := start_pins(catalog)):
            walker.walk_indices(popular, params=WalkParams(steps=1000))

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """Pins that the walks visited, with visits by query pin; the origin is the query pin with most of them."""
        found = self._walkers.of(query.catalog).walk_indices(
            query.pins,
            query.weight,
            params=params_of(query, budget),
            seed=query.ask.seed,
            exclude=query.exclude,
            allowed=query.allowed,
            bias=locale_range(query),
        )
        return found_pins(found)


def params_of(query: Query, budget: int) -> WalkParams:
    """The client's."""
    return WalkParams(top_k=budget, **query.client.walk.model_dump())


def locale_range(query: Query) -> tuple[int, int]:
    """The pins that some of the steps prefer; (0, 0) for none."""
    if query.client.walk.bias_share <= 0 or query.locale < 0:
        return 0, 0
    return query.catalog.graph.locale_range(query.locale)


def start_pins(catalog: Catalog) -> np.ndarray:
    """int32[<= 1]: a pin to try a walk from."""
    return np.asarray(catalog.pins.popular(-1, 1), np.int32)


def found_pins(found: WalkResult) -> FoundPins:
    """A walk's result as a source's."""
    origin = Origin("query_pin", found.by_query.argmax(axis=1).astype(np.int32)) if len(found.pins) else Origin()
    return FoundPins(found.pins, found.scores, origin, Visits(found.visits, found.hits, found.by_query))
