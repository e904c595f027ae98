"""The source `popular`: what is saved most, in the user's locale first."""

import numpy as np

from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.request.deadline import Deadline
from serving.request.found import FoundPins


@register("popular")
class PopularPins(CandidateGenerator):
    """Needs nothing but a mapped graph."""

    in_place = True

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """The score is the number of boards."""
        pins = popular_pins(query, budget)
        return FoundPins(pins, query.catalog.graph.pin_degree[pins].astype(np.float32))


def popular_pins(query: Query, wanted: int, but: np.ndarray | None = None) -> np.ndarray:
    """int32: the most saved pins of the user's locale, then all others, without `but` and without the query pins.

    As long as there are pins that may be shown, there are `wanted`.
    """
    catalog = query.catalog
    free = query.may_show()
    if but is not None:
        free[but] = False
    local = _first(catalog.pins.popular(query.locale, catalog.graph.n_pins), free, wanted)
    if query.locale < 0 or len(local) >= wanted:
        return local
    free[local] = False
    everywhere = _first(catalog.pins.popular(-1, catalog.graph.n_pins), free, wanted - len(local))
    return np.concatenate([local, everywhere])


def _first(order: np.ndarray, free: np.ndarray, wanted: int) -> np.ndarray:
    """int32: the first `wanted` pins of an order that are free (bool[n_pins]); looks no further than it must."""
    found = np.empty(0, np.int32)
    start, size = 0, 4 * wanted
    while start < len(order) and len(found) < wanted:
        part = order[start : start + size]
        found = np.concatenate([found, part[free[part]]]).astype(np.int32)
        start, size = start + size, 2 * size
    return found[:wanted]
