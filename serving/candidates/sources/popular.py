"""The source `popular`: what is saved most, in the user's locale first."""

import numpy as np

from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.request.deadline import Deadline
from serving.request.found import FoundPins


@register("popular")
class PopularPins(CandidateGenerator):
    """Needs nothing but a mapped graph."""

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
    free[query.pins] = False
    if but is not None:
        free[but] = False
    local = catalog.pins.popular(query.locale, catalog.graph.n_pins)
    local = local[free[local]][:wanted]
    if query.locale < 0 or len(local) >= wanted:
        return np.asarray(local, np.int32)
    free[local] = False
    everywhere = catalog.pins.popular(-1, catalog.graph.n_pins)
    return np.concatenate([local, everywhere[free[everywhere]][: wanted - len(local)]]).astype(np.int32)
