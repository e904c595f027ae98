"""What features are computed from: one request (user, query pins, candidates), or all pins of a graph build.

Work that several features share is computed once, when the first of them asks. No feature's arithmetic stands here.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from cluster.features.likeness import Likeness, likeness, strongest
from cluster.features.similar import Follows, Sums, follows, sums
from cluster.similarity.neighbours import Neighbours
from cluster.similarity.tables import Similarity


@dataclass(frozen=True)
class UserInput:
    """What is known of the user at the moment of the request. Arrays run from the newest action to the oldest."""

    numeric: np.ndarray  # float32[K], the columns of the users input: numeric, then category codes
    interests: np.ndarray  # float32[T], unit length or zero
    locale: int  # code; -1 unknown
    recent_age_hours: np.ndarray  # float32[R]
    recent_positive: np.ndarray  # bool[R]
    recent_topics: np.ndarray  # float32[R, T]
    recent_vectors: np.ndarray  # float32[R, V]


@dataclass(frozen=True)
class HistoryInput:
    """What the user did before the request, newest first, as far back as is kept; only with pins of the graph."""

    pins: np.ndarray  # int32[H], the graph's pin index
    action: np.ndarray  # int16[H], index into `FeatureSettings.history_actions`; -1: another action
    liked: np.ndarray  # bool[H], by an action that starts walks of the client
    static: np.ndarray  # float32[H, P], the `pin` columns of these pins


@dataclass(frozen=True)
class QueryInput:
    """The query pins of one request, aligned with the walk's provenance columns."""

    pins: np.ndarray  # int32[Q], the graph's pin index
    weight: np.ndarray  # float32[Q]
    age_hours: np.ndarray  # float32[Q], 0 for the pin on screen
    topics: np.ndarray  # float32[Q, T]
    vectors: np.ndarray  # float32[Q, V]
    at_hour: int
    weekday: int


@dataclass(frozen=True)
class SourceInput:
    """Which of S sources of candidates found each of n pins."""

    names: tuple[str, ...]
    rank: np.ndarray  # int32[n, S], from 0; -1: did not find it
    score: np.ndarray  # float32[n, S], each source's own; NaN: did not find it

    def rank_of(self, name: str) -> np.ndarray:
        """int32[n], -1 where the source did not find the pin, or was not asked."""
        if name in self.names:
            return self.rank[:, self.names.index(name)]
        return np.full(len(self.rank), -1, np.int32)

    def only(self, rows: np.ndarray) -> "SourceInput":
        """Of these candidates alone."""
        return SourceInput(self.names, self.rank[rows], self.score[rows])

    def without(self, name: str) -> "SourceInput":
        """As if the source had not been asked; pins that it alone found stay, and no source found them."""
        rest = [column for column, other in enumerate(self.names) if other != name]
        return SourceInput(tuple(self.names[column] for column in rest), self.rank[:, rest], self.score[:, rest])


@dataclass(frozen=True)
class CandidateInput:
    """What the sources returned, with the static pin rows gathered from the bundle.

    Score, visits, hits and by_query are the walk's, 0 for a pin that it did not reach.
    """

    pins: np.ndarray  # int32[n], the graph's pin index
    sources: SourceInput
    score: np.ndarray  # float32[n], the boosted visit count
    visits: np.ndarray  # [n]
    hits: np.ndarray  # [n]
    by_query: np.ndarray  # [n, Q]
    degree: np.ndarray  # [n]
    locale: np.ndarray  # int16[n], -1 unknown
    topics: np.ndarray  # float32[n, T], rows of unit length or zero
    vectors: np.ndarray  # float32[n, V], rows of unit length or zero; V = 0: the project has none
    static: np.ndarray  # float32[n, P], the `pin` columns
    lift: np.ndarray  # float32[n], log of the client's rate of actions on the pin over its mean; NaN unknown
    impressions: np.ndarray  # float32[n], how often the client showed the pin before the graph was built; NaN unknown


@dataclass(frozen=True)
class RequestInput:
    """One request, as the functions of user, context, graph and cross features see it."""

    user: UserInput
    query: QueryInput
    found: CandidateInput
    history: HistoryInput
    similarity: Similarity
    history_actions: int = 0  # that features tell apart

    @property
    def actions(self) -> int:
        """Recent actions of the user that are known."""
        return len(self.user.recent_age_hours)

    @property
    def queries(self) -> int:
        """Query pins."""
        return self.found.by_query.shape[1]

    @property
    def candidates(self) -> int:
        """Pins that the sources found."""
        return len(self.found.by_query)

    @cached_property
    def strongest(self) -> tuple[np.ndarray, np.ndarray]:
        """The query pin that led to each candidate most often, int64[n], and its share of the visits, float32[n]."""
        return strongest(self.found.by_query)

    @cached_property
    def topic_likeness(self) -> Likeness:
        """Cosines of the candidates' topics."""
        recent = self.user.recent_topics if self.actions else None
        return likeness(self.found.topics, self.query.topics, self.query.weight, recent)

    @cached_property
    def vector_likeness(self) -> Likeness:
        """Cosines of the candidates' pretrained vectors; NaN for a candidate without one."""
        has = self.found.vectors.any(axis=1)
        recent = self.user.recent_vectors if self.actions else None
        alike = likeness(self.found.vectors, self.query.vectors, self.query.weight, recent)
        return Likeness(*(np.where(has, column, np.nan) for column in alike))

    @cached_property
    def linear(self) -> Sums:
        """What the linear weights say."""
        return self._sums(self.similarity.linear, self.history_actions)

    @cached_property
    def cosine(self) -> Sums:
        """What boards in common say."""
        return self._sums(self.similarity.cosine)

    @cached_property
    def steps(self) -> Sums:
        """What walks of two steps say, exactly."""
        return self._sums(self.similarity.steps)

    @cached_property
    def follows(self) -> Follows:
        """What users do after what this one did."""
        return follows(self.similarity.follows, self.history.pins, self.found.pins)

    def _sums(self, table: Neighbours | None, actions: int = 0) -> Sums:
        did, asked = self.history, self.query
        return sums(table, did.pins, did.action, did.liked, asked.pins, asked.weight, self.found.pins, actions)


@dataclass(frozen=True)
class PinActivity:
    """How often users acted on each of n pins (cluster.catalog.activity)."""

    total: np.ndarray  # int32[n], all actions
    by_action: np.ndarray  # int32[n, A], in the order of `FeatureSettings.history_actions`
    week: np.ndarray  # int32[n], those of the newest 7 days
    month: np.ndarray  # int32[n], those of the newest 30 days


@dataclass(frozen=True)
class PinInput:
    """All n pins of a graph build, as the functions of pin features see them."""

    degree: np.ndarray  # int32[n], boards that hold the pin, before pruning
    dated: np.ndarray  # int[n], its edges with a time
    recent: np.ndarray  # int or float32[n], those in the newest tenth of time
    newest: int | None  # time of the newest edge in microseconds since 1970; None without times
    table: pa.Table | None  # the cleaned pins input
    rows: np.ndarray  # int64[n], each pin's row of `table`, -1 where it has none
    activity: PinActivity | None = None  # None without past actions

    def gather(self, column: np.ndarray | None) -> np.ndarray:
        """Values of the table's rows as values of pins, float32[n]; NaN for a pin without a row."""
        if column is None or not len(column):
            return np.full(len(self.rows), np.nan, np.float32)
        return np.where(self.rows >= 0, column[np.maximum(self.rows, 0)], np.float32(np.nan))
