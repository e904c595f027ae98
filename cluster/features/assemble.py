"""Every feature once: name, side, dtype, default, and the arithmetic. Training reads what serving logged of them.

Pure NumPy over one request. A missing value is NaN, never a silent 0; both rankers treat NaN as missing.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cluster.features.likeness import likeness, strongest
from cluster.hashing import hash_ids
from cluster.settings.project import FeatureSettings

Side = Literal["user", "context", "pin", "graph", "cross"]
SHARED_SIDES: tuple[Side, ...] = ("user", "context")
CATEGORY_CODES = 1 << 20
"""Categorical values become hash_ids % CATEGORY_CODES: exact in float32, the same in every process."""


@dataclass(frozen=True)
class Feature:
    """One column. `user` and `context` features are the same for all candidates of a request; the others are not."""

    name: str
    side: Side
    about: str
    categorical: bool = False


BUILT_IN = (
    Feature("user_actions", "user", "log1p of the user's known recent actions"),
    Feature("user_hours_idle", "user", "log1p of hours since the last action; NaN for a new user"),
    Feature("user_positive_share", "user", "share of recent actions that are not negative; NaN for a new user"),
    Feature("context_hour", "context", "hour of day, UTC"),
    Feature("context_weekday", "context", "0 Monday to 6 Sunday, UTC"),
    Feature("context_query_pins", "context", "number of query pins"),
    Feature("context_reached", "context", "log1p of the number of candidates"),
    Feature("pin_degree", "pin", "log1p of the number of boards that hold the pin"),
    Feature("pin_age_days", "pin", "days from the pin's creation to the newest edge; NaN when unknown"),
    Feature("pin_recent_share", "pin", "share of the pin's edges in the newest tenth of time; NaN without saved_at"),
    Feature("graph_score", "graph", "log1p of the boosted visit count (sum of square roots, squared)"),
    Feature("graph_visits", "graph", "log1p of raw visits"),
    Feature("graph_rank", "graph", "log1p of the rank by boosted visit count, from 0"),
    Feature("graph_score_share", "graph", "boosted visit count / the best candidate's"),
    Feature("graph_hits", "graph", "query pins whose walks reached the candidate"),
    Feature("graph_hit_share", "graph", "hits / query pins"),
    Feature("graph_corrected_rank", "graph", "log1p of the rank by boosted visit count / root of degree, from 0"),
    Feature("graph_lift", "graph", "log of visits / degree: reached more than its popularity explains"),
    Feature("cross_best_query_share", "cross", "share of the visits that the best query pin gave"),
    Feature("cross_best_query_age", "cross", "log1p hours since the action on the best query pin"),
    Feature("cross_query_topic", "cross", "cosine of the pin's topics with the weighted mean of the query pins'"),
    Feature("cross_best_topic", "cross", "largest cosine of the pin's topics with one query pin's"),
    Feature("cross_interest_topic", "cross", "cosine of the pin's topics with the user's declared interests"),
    Feature("cross_history_topic", "cross", "cosine of the pin's topics with those of the user's recent actions"),
    Feature("cross_locale_match", "cross", "1 when pin and user share a locale, 0 when not, NaN when unknown"),
)


def vector_features(width: int) -> tuple[Feature, ...]:
    """Features of pretrained vectors of `width` numbers; none for 0."""
    if not width:
        return ()
    of = f"the pin's vector ({width} numbers)"
    return (
        Feature("cross_query_vector", "cross", f"cosine of {of} with the weighted mean of the query pins'"),
        Feature("cross_best_vector", "cross", f"largest cosine of {of} with one query pin's"),
        Feature("cross_history_vector", "cross", f"cosine of {of} with the mean of the user's recent actions'"),
    )


@dataclass(frozen=True)
class FeatureSet:
    """The features of a project: the built-in ones and the columns its pinfunnel.yaml names."""

    features: tuple[Feature, ...]

    @classmethod
    def of(cls, settings: FeatureSettings) -> "FeatureSet":
        """Built-in features plus the configured columns, in a fixed order."""
        own = [
            *(Feature(f"user_{n}", "user", "configured column") for n in settings.user_numeric),
            *(Feature(f"user_{n}", "user", "configured column", True) for n in settings.user_categorical),
            *(Feature(f"pin_{n}", "pin", "configured column") for n in settings.pin_numeric),
            *(Feature(f"pin_{n}", "pin", "configured column", True) for n in settings.pin_categorical),
        ]
        return cls((*BUILT_IN, *vector_features(settings.pin_vector_width), *own))

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the S user and context columns."""
        return tuple(f.name for f in self.features if f.side in SHARED_SIDES)

    @property
    def candidate(self) -> tuple[str, ...]:
        """Names of the C pin, graph and cross columns, pin columns first."""
        return tuple(f.name for side in ("pin", "graph", "cross") for f in self.features if f.side == side)

    @property
    def pin(self) -> tuple[str, ...]:
        """Names of the static pin columns, stored with the graph bundle."""
        return tuple(f.name for f in self.features if f.side == "pin")

    @property
    def names(self) -> tuple[str, ...]:
        """All model inputs in column order: shared, then candidate."""
        return self.shared + self.candidate

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the columns that hold category codes."""
        return tuple(f.name for f in self.features if f.categorical)

    @property
    def schema_hash(self) -> str:
        """Changes when a name, its order, side or meaning changes; bundles carry it and loading refuses another."""
        text = "\n".join(f"{f.side} {f.name} {f.categorical} {f.about}" for f in self.features)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class UserInput:
    """What is known of the user at the moment of the request. Arrays run from the newest action to the oldest."""

    numeric: np.ndarray  # float32[len(user columns configured)]: numeric, then category codes
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
class FeatureBlock:
    """The features of one request: `shared` float32[S] and `candidates` float32[n, C]."""

    shared: np.ndarray
    candidates: np.ndarray = field(repr=False)

    def matrix(self) -> np.ndarray:
        """Both sides as one float32[n, S + C], in the order of `FeatureSet.names`."""
        left = np.broadcast_to(self.shared, (len(self.candidates), len(self.shared)))
        return np.ascontiguousarray(np.concatenate([left, self.candidates], axis=1))


def category_code(values: np.ndarray) -> np.ndarray:
    """Codes of categorical values, float32[n]; None becomes NaN."""
    values = np.asarray(values, dtype=object)
    known = np.array([v is not None for v in values], dtype=bool)
    out = np.full(len(values), np.nan, np.float32)
    out[known] = hash_ids([str(v) for v in values[known]]) % CATEGORY_CODES
    return out


def rank_of(values: np.ndarray) -> np.ndarray:
    """Each value's place from the largest (0) down, int64[n]; equal values in the order given."""
    place = np.empty(len(values), np.int64)
    place[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return place


def build_features(user: UserInput, query: QueryInput, found: CandidateInput) -> FeatureBlock:
    """All features of one request. The only place where a feature's arithmetic stands."""
    n, queries = found.by_query.shape
    actions = len(user.recent_age_hours)
    shared = [
        np.log1p(actions),
        np.log1p(max(float(user.recent_age_hours[0]), 0.0)) if actions else np.nan,
        user.recent_positive.mean() if actions else np.nan,
        query.at_hour,
        query.weekday,
        queries,
        np.log1p(n),
    ]
    best, share = strongest(found.by_query)
    nothing = np.full(n, np.nan)
    query_topic, best_topic, history_topic = likeness(
        found.topics, query.topics, query.weight, user.recent_topics if actions else None
    )
    match = np.where((found.locale < 0) | (user.locale < 0), np.nan, found.locale == user.locale)
    columns = [
        np.log1p(found.score),
        np.log1p(found.visits),
        np.log1p(np.arange(n)),
        found.score / max(float(found.score.max(initial=0.0)), 1e-9),
        found.hits,
        found.hits / max(queries, 1),
        np.log1p(rank_of(found.score / np.sqrt(np.maximum(found.degree, 1)))),
        np.log((found.visits + 1.0) / (found.degree + 1.0)),
        share,
        np.log1p(np.maximum(query.age_hours, 0.0))[best] if queries else nothing,
        query_topic,
        best_topic,
        found.topics @ user.interests if user.interests.any() else nothing,
        history_topic,
        match,
    ]
    if found.vectors.shape[1]:
        has = found.vectors.any(axis=1)
        alike = likeness(found.vectors, query.vectors, query.weight, user.recent_vectors if actions else None)
        columns += [np.where(has, column, np.nan) for column in alike]
    dynamic = np.empty((n, len(columns)), np.float32)
    for at, column in enumerate(columns):
        dynamic[:, at] = column
    return FeatureBlock(
        np.concatenate([np.asarray(shared, np.float32), user.numeric.astype(np.float32)]),
        np.concatenate([found.static.astype(np.float32, copy=False), dynamic], axis=1),
    )
