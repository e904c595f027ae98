"""What features are computed from: one request (user, query pins, candidates), or all pins of a graph build.

Work that several features share is computed once, when the first of them asks. No feature's arithmetic stands here.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from cluster.features.likeness import Likeness, likeness, strongest


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
class QueryInput:
    """The query pins of one request, aligned with the walk's provenance columns."""

    weight: np.ndarray  # float32[Q]
    age_hours: np.ndarray  # float32[Q], 0 for the pin on screen
    topics: np.ndarray  # float32[Q, T]
    vectors: np.ndarray  # float32[Q, V]
    at_hour: int
    weekday: int


@dataclass(frozen=True)
class CandidateInput:
    """What the walk returned, with the static pin rows gathered from the bundle."""

    score: np.ndarray  # float32[n], best first
    visits: np.ndarray  # [n]
    hits: np.ndarray  # [n]
    by_query: np.ndarray  # [n, Q]
    degree: np.ndarray  # [n]
    locale: np.ndarray  # int16[n], -1 unknown
    topics: np.ndarray  # float32[n, T], rows of unit length or zero
    vectors: np.ndarray  # float32[n, V], rows of unit length or zero; V = 0: the project has none
    static: np.ndarray  # float32[n, P], the `pin` columns


@dataclass(frozen=True)
class RequestInput:
    """One request, as the functions of user, context, graph and cross features see it."""

    user: UserInput
    query: QueryInput
    found: CandidateInput

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
        """Pins that the walk reached."""
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


@dataclass(frozen=True)
class PinInput:
    """All n pins of a graph build, as the functions of pin features see them."""

    degree: np.ndarray  # int32[n], boards that hold the pin, before pruning
    dated: np.ndarray  # int[n], its edges with a time
    recent: np.ndarray  # int or float32[n], those in the newest tenth of time
    newest: int | None  # time of the newest edge in microseconds since 1970; None without times
    table: pa.Table | None  # the cleaned pins input
    rows: np.ndarray  # int64[n], each pin's row of `table`, -1 where it has none

    def gather(self, column: np.ndarray | None) -> np.ndarray:
        """Values of the table's rows as values of pins, float32[n]; NaN for a pin without a row."""
        if column is None or not len(column):
            return np.full(len(self.rows), np.nan, np.float32)
        return np.where(self.rows >= 0, column[np.maximum(self.rows, 0)], np.float32(np.nan))
