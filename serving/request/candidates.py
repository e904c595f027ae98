"""What a candidate generator hands on: candidates as arrays, small enough to travel by value (< 1 MB).

Pins travel as indices of one graph version, named in `Candidates.graph_version`; every later stage opens that very
version, so that an answer never mixes two graphs (docs/adr/0002).
"""

from dataclasses import dataclass, replace

import numpy as np

from serving.request.ask import Recents


@dataclass(frozen=True)
class Candidates:
    """Candidates in visit-count order, where they came from, and what is known of the user."""

    graph_version: str
    source: str  # walk | popular
    locale: int  # the user's, -1 unknown
    pins: np.ndarray  # int32[n]
    pin_ids: np.ndarray  # int64 | object [n]
    score: np.ndarray  # float32[n], the boosted visit count
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

    def only(self, rows: np.ndarray) -> "Candidates":
        """These rows alone, without their provenance: what the full ranker needs to see."""
        kept = {name: getattr(self, name)[rows] for name in ("pins", "pin_ids", "score", "visits", "hits")}
        return replace(self, **kept, by_query=np.empty((len(rows), 0), np.uint32), labels=None)

    def sequence_age(self, at: int) -> np.ndarray:
        """Hours between each action of the sequence and the request, float32[L]."""
        return ((at - self.sequence.occurred_at) / 3.6e9).astype(np.float32)
