"""The source `similar`: pins most alike what the user liked and the query pins, by rows measured with the graph.

With the linear weights this is EASE (Steck, WWW 2019) or its sparse kin, whichever the graph was built with.
"""

from typing import Literal

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.settings.parsing import Settings
from cluster.similarity.neighbours import Neighbours
from cluster.similarity.tables import Similarity
from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query, index_of
from serving.candidates.weight_sums import WeightSums, best, warm
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Origin
from serving.request.history import history_of


class SimilarOptions(Settings):
    """`by`: which measure; where the graph lacks it, the next of linear, cosine, steps that it has."""

    by: Literal["linear", "cosine", "steps", "follows"] = "linear"


@register("similar")
class SimilarPins(CandidateGenerator):
    """Scores are summed weights over the pins that the user liked, each once, and the query pins."""

    in_place = True

    Options = SimilarOptions

    def __init__(self, options: SimilarOptions):
        self._by = options.by

    def prepare(self, catalog: Catalog) -> None:
        """Compiles the sums."""
        warm()

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """Origins are query pins; a pin that only older likes lead to has none."""
        table = measured(query.catalog.similarity, self._by)
        if table is None:
            return FoundPins.nothing()
        liked = np.setdiff1d(_liked(query), query.pins)
        rows = np.concatenate([query.pins, liked]).astype(np.int32)
        sums = WeightSums(query.catalog.graph.n_pins)
        sums.add_rows(table, rows, np.ones(len(rows), np.float32))
        pins, score, origin = sums.take()
        pins, score, origin = (values[query.keeps(pins)] for values in (pins, score, origin))
        first = best(score, budget)
        origin = np.where(origin < len(query.pins), origin, -1).astype(np.int32)
        return FoundPins(pins[first], score[first], Origin("query_pin", origin[first]))


def measured(similarity: Similarity, by: str) -> Neighbours | None:
    """The rows of a measure, or of the next best that there is."""
    for name in dict.fromkeys((by, "linear", "cosine", "steps")):
        table: Neighbours | None = getattr(similarity, name)
        if table is not None:
            return table
    return None


def _liked(query: Query) -> np.ndarray:
    """int32: the pins of the user's history with an action that starts walks of the client, and not hidden since."""
    liked = {name for name, weight in query.client.query.actions.items() if weight > 0}
    if query.client.query.source == "request":
        return np.empty(0, np.int32)
    catalog = query.catalog
    user = catalog.users.row(query.ask.user_id)
    history = history_of(catalog, user, query.ask, liked)
    hidden = index_of(catalog, [*query.ask.hidden, *user.hidden.tolist()])
    return np.setdiff1d(history.pins[history.liked], hidden)
