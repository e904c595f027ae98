"""Source drop-out while learning: some requests forget what one of their sources said.

A ranker that has only seen the walk's candidates takes a missing visit count for a bad sign, and buries what a new
source brings. One that was trained with drop-out has seen good candidates without it (cluster/features/dropout.py).
"""

from dataclasses import dataclass, replace

import numpy as np

from cluster.features.assemble import FeatureSet
from cluster.features.dropout import without_source
from cluster.hashing import hash_ids
from training.log.arrays import Request


@dataclass(frozen=True)
class SourceDropout:
    """Of a `share` of the requests, drawn by their ids, one of several sources that found something is forgotten.

    A request with one source keeps it: without any it would be like none that is ever served, and on MovieLens such
    requests cost the trees .0065 of Recall@50 and .0093 of NDCG@20 (docs/experiments/training.md).
    """

    features: FeatureSet
    share: float

    def __call__(self, request: Request) -> Request:
        """The request itself, or one with other features: its candidates and what the user did stay."""
        sources = request.sources
        if sources is None or self.share <= 0.0:
            return request
        draw = np.random.default_rng(int(hash_ids([f"dropout {request.request_id}"])[0]))
        if draw.random() >= self.share:
            return request
        found = [name for column, name in enumerate(sources.names) if (sources.rank[:, column] >= 0).any()]
        if len(found) < 2:
            return request
        name = found[int(draw.integers(len(found)))]
        candidates = without_source(self.features, request.candidates, sources, name)
        return replace(request, candidates=candidates, sources=sources.without(name))
