"""Features of how the walk reached a candidate: one number a candidate, NaN for one that it did not reach."""

import numpy as np

from cluster.features.feature import Side
from cluster.features.inputs import RequestInput

GRAPH = Side[RequestInput, np.ndarray]("graph")


@GRAPH.feature(version=2, of_source="walk")
def graph_score(request: RequestInput) -> np.ndarray:
    """log1p of the boosted visit count (sum of square roots, squared)."""
    return np.log1p(request.found.score)


@GRAPH.feature(version=2, of_source="walk")
def graph_visits(request: RequestInput) -> np.ndarray:
    """log1p of raw visits."""
    return np.log1p(request.found.visits)


@GRAPH.feature(version=2, of_source="walk")
def graph_rank(request: RequestInput) -> np.ndarray:
    """log1p of the rank by boosted visit count, from 0."""
    return np.log1p(np.maximum(request.found.sources.rank_of("walk"), 0))


@GRAPH.feature(version=2, of_source="walk")
def graph_score_share(request: RequestInput) -> np.ndarray:
    """Boosted visit count divided by the best candidate's."""
    score = request.found.score
    return score / max(float(score.max(initial=0.0)), 1e-9)


@GRAPH.feature(version=2, of_source="walk")
def graph_hits(request: RequestInput) -> np.ndarray:
    """Query pins whose walks reached the candidate."""
    return request.found.hits


@GRAPH.feature(version=2, of_source="walk")
def graph_hit_share(request: RequestInput) -> np.ndarray:
    """Hits divided by query pins."""
    return request.found.hits / max(request.queries, 1)


@GRAPH.feature(version=2, of_source="walk")
def graph_corrected_rank(request: RequestInput) -> np.ndarray:
    """log1p of the rank by boosted visit count divided by the root of degree, from 0."""
    return np.log1p(rank_of(request.found.score / np.sqrt(np.maximum(request.found.degree, 1))))


@GRAPH.feature(version=2, of_source="walk")
def graph_lift(request: RequestInput) -> np.ndarray:
    """Log of visits divided by degree, each plus 1: reached more than its popularity explains."""
    return np.log((request.found.visits + 1.0) / (request.found.degree + 1.0))


def rank_of(values: np.ndarray) -> np.ndarray:
    """Each value's rank, 0 for the largest, int64[n]; equal values in the order given."""
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return rank
