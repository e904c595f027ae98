"""What one stage hands to the next: plain dataclasses of NumPy arrays, small enough to travel by value (< 1 MB).

Pins travel as indices of one graph version, named in `Walked.graph_version`; every later stage opens that very version,
so that an answer never mixes two graphs (docs/adr/0002).
"""

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Recents:
    """A user's actions since the graph was built, newest first; arrays of equal length."""

    pin_ids: np.ndarray  # int64 or object
    actions: np.ndarray  # object (str)
    clients: np.ndarray  # object (str)
    occurred_at: np.ndarray  # int64, microseconds since 1970 UTC

    @classmethod
    def none(cls) -> "Recents":
        """Nothing known."""
        empty = np.empty(0, object)
        return cls(empty, empty, empty, np.empty(0, np.int64))


@dataclass(frozen=True)
class WalkAsk:
    """One request, as the walker sees it."""

    client: str
    user_id: int | str | None
    query_pins: tuple[tuple[int | str, float | None], ...]
    exclude: tuple[int | str, ...]
    locale: str | None
    at: int  # microseconds since 1970 UTC
    seed: int
    recents: Recents = field(default_factory=Recents.none)


@dataclass(frozen=True)
class Walked:
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
    labels: np.ndarray | None = None  # int64[n], policy labels (serving.policy.labels); None: the client has no rule

    def only(self, places: np.ndarray) -> "Walked":
        """The candidates at `places`, without their provenance: what the full ranker needs to see."""
        rows = {name: getattr(self, name)[places] for name in ("pins", "pin_ids", "score", "visits", "hits")}
        return replace(self, **rows, by_query=np.empty((len(places), 0), np.uint32), labels=None)

    def sequence_age(self, at: int) -> np.ndarray:
        """Hours between each action of the sequence and the request, float32[L]."""
        return ((at - self.sequence.occurred_at) / 3.6e9).astype(np.float32)


@dataclass(frozen=True)
class Ranked:
    """The lightweight stage: features and scores of all candidates, and the survivors, best first."""

    version: str | None  # None: no model yet, the order is the walk's
    survivors: np.ndarray  # int32[k], places in Walked.pins
    scores: np.ndarray  # float32[n]; NaN without a model
    shared: np.ndarray  # float32[S]
    candidates: np.ndarray  # float32[n, C]
    topics: np.ndarray  # int16[k], the survivors' main topic, -1 none
    boards: np.ndarray | None = None  # int32[k], the survivors' shared board, -1 none; only for a client with board_cap
    vectors: np.ndarray | None = None  # float32[k, T], the survivors' topics; only for a client with diversity

    def only(self, places: np.ndarray) -> "Ranked":
        """With the candidates at `places` alone, all of them survivors: what the full ranker needs to see."""
        return replace(
            self,
            survivors=np.arange(len(places), dtype=np.int32),
            scores=self.scores[places],
            candidates=self.candidates[places],
            topics=np.empty(0, np.int16),
            boards=None,
            vectors=None,
        )


@dataclass(frozen=True)
class Scored:
    """The full stage: one probability per action and the client's utility, aligned with Ranked.survivors."""

    version: str | None
    utility: np.ndarray  # float32[k]; NaN without a model, and for survivors that were not scored in time
    probabilities: np.ndarray  # float32[k, A]
