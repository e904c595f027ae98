"""Source drop-out while learning: some requests forget what one of their sources said.

A ranker that has only seen the walk's candidates takes a missing visit count for a bad sign, and buries what a new
source brings. One that was trained with drop-out has seen good candidates without it (cluster/features/dropout.py).

Only where no candidates tell by themselves what one without the source is like. Elsewhere the best that it found, made
to look as if it had not, outweigh the few that it really did not find: such a ranker filled answers with pins that the
walk had not reached, and lost a fifth and more of the clicks (docs/experiments/sources.md).
"""

from dataclasses import dataclass, replace

import numpy as np

from cluster.features.assemble import FeatureSet
from cluster.features.dropout import without_source
from cluster.hashing import hash_ids
from training.log.arrays import Request

NEARLY_ALL = 0.95
"""Of a request's candidates, what a source must have found to be forgotten."""


@dataclass(frozen=True)
class SourceDropout:
    """Of a `share` of the requests, drawn by their ids, one of several sources that found something is forgotten: such
    as found nearly all of the candidates.

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
        shares = (sources.rank >= 0).mean(axis=0)
        most = [name for name, share in zip(sources.names, shares, strict=True) if share >= NEARLY_ALL]
        if (shares > 0).sum() < 2 or not most:
            return request
        name = most[int(draw.integers(len(most)))]
        candidates = without_source(self.features, request.candidates, sources, name)
        return replace(request, candidates=candidates, sources=sources.without(name))
