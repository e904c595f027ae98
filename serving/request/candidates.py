"""What the candidate stage hands on: all sources' candidates as one table, small enough to travel by value (< 1 MB).

Pins travel as indices of one graph version, named in `Candidates.graph_version`; every later stage opens that very
version, so that an answer never mixes two graphs (docs/adr/0002).
"""

from dataclasses import dataclass, replace

import numpy as np

from cluster.contract.moments import MICROSECONDS_PER_HOUR
from cluster.features.inputs import SourceInput
from serving.request.ask import Recents
from serving.request.found import Origin


@dataclass(frozen=True)
class SourceColumns(SourceInput):
    """Which sources found each candidate, and what led them there."""

    budget: tuple[int, ...]  # pins that each was asked for
    origins: tuple[Origin, ...] = ()  # of each source, aligned with the candidates; empty once they have been cut

    @property
    def found(self) -> dict[str, int]:
        """Pins by source."""
        return dict(zip(self.names, (self.rank >= 0).sum(axis=0).tolist(), strict=True))

    def only(self, rows: np.ndarray) -> "SourceColumns":
        """These rows alone, without origins."""
        return replace(self, rank=self.rank[rows], score=self.score[rows], origins=())


@dataclass(frozen=True)
class Candidates:
    """Candidates in the order that they have without a model, where they came from, and what is known of the user.

    That order is the walk's where it is the only source, else reciprocal rank fusion (serving/candidates/mixer.py).
    """

    graph_version: str
    locale: int  # the user's, -1 unknown
    pins: np.ndarray  # int32[n]
    pin_ids: np.ndarray  # int64 | object [n]
    score: np.ndarray  # float32[n], what orders them: the boosted visit count, or the fused ranks
    sources: SourceColumns
    walk_score: np.ndarray  # float32[n], the boosted visit count, 0 where no walk came
    visits: np.ndarray  # int32[n]
    hits: np.ndarray  # int16[n]
    by_query: np.ndarray  # uint32[n, Q]
    query_pins: np.ndarray  # int32[Q]
    query_ids: np.ndarray
    query_weight: np.ndarray  # float32[Q]
    query_age: np.ndarray  # float32[Q], hours
    sequence: Recents  # the user's last actions before the request, newest first
    notes: tuple[str, ...] = ()  # what the answer should say of the request, as of a query pin that nobody has
    labels: np.ndarray | None = None  # int64[n], policy labels (serving.policy.labels); None: the client has no rule

    @property
    def source(self) -> str:
        """The sources that found something, joined by +; `popular` where nothing else did."""
        return "+".join(name for name, n in self.sources.found.items() if n) or "popular"

    def only(self, rows: np.ndarray) -> "Candidates":
        """These rows alone, without the walk's provenance: what the full ranker needs to see."""
        names = ("pins", "pin_ids", "score", "walk_score", "visits", "hits")
        kept = {name: getattr(self, name)[rows] for name in names}
        by_query = np.empty((len(rows), 0), np.uint32)
        return replace(self, **kept, sources=self.sources.only(rows), by_query=by_query, labels=None)

    def sequence_age(self, at: int) -> np.ndarray:
        """Hours between each action of the sequence and the request, float32[L]."""
        return ((at - self.sequence.occurred_at) / MICROSECONDS_PER_HOUR).astype(np.float32)
