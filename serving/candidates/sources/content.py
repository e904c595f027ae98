"""The source `content`: nearest to the query pins by the project's own vectors, or by topics where there are none.

An exact scan: for catalogues up to about a million pins it beats approximate indexes under filters.
"""

import numpy as np
from pydantic import Field

from cluster.settings.parsing import Settings
from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.candidates.weight_sums import best
from serving.request.deadline import Deadline
from serving.request.found import FoundPins, Origin

BLOCK = 65_536
"""Pins scanned at a time: their vectors stay in a core's cache, and the deadline is looked at between two blocks."""


class ContentOptions(Settings):
    """What is searched from."""

    queries: int = Field(5, ge=1, le=64, description="the heaviest query pins; each candidate counts for its nearest")


@register("content")
class NearestContent(CandidateGenerator):
    """The score is the cosine with the nearest query pin. A pin on a single board is found as well as any other."""

    in_place = True

    Options = ContentOptions

    def __init__(self, options: ContentOptions):
        self._queries = options.queries

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """Without query pins the user's declared interests are what topics are compared with."""
        pins = query.catalog.pins
        vectors = pins.vectors if pins.vectors.shape[1] else pins.topics
        wanted = np.asarray(vectors[query.pins[: self._queries]], np.float32)
        asked = wanted.any(axis=1)
        of_query = np.flatnonzero(asked).astype(np.int32)
        wanted = wanted[asked]
        if not len(wanted):
            vectors = pins.topics
            wanted = query.catalog.users.row(query.ask.user_id).interests[None]
        if not wanted.any():
            return FoundPins.nothing()
        may = query.may_show()
        found: list[np.ndarray] = []
        scores: list[np.ndarray] = []
        nearest: list[np.ndarray] = []
        for start in range(0, len(vectors), BLOCK):
            if deadline.left() <= 0:
                break
            rows = start + np.flatnonzero(may[start : start + BLOCK])
            cosine = np.asarray(vectors[rows], np.float32) @ wanted.T
            top = cosine.max(axis=1, initial=0.0)
            kept = best(top, budget)
            found.append(rows[kept])
            scores.append(top[kept])
            nearest.append(cosine[kept].argmax(axis=1))
        if not found:
            return FoundPins.nothing()
        score = np.concatenate(scores)
        first = best(score, budget)
        by = np.concatenate(nearest)[first]
        origin = Origin("query_pin", of_query[by]) if len(of_query) else Origin()
        return FoundPins(np.concatenate(found)[first].astype(np.int32), score[first], origin)
