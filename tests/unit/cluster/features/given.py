"""Small inputs of features that tests change at will, and random ones."""

import numpy as np
import pyarrow as pa

from cluster.features.inputs import (
    CandidateInput,
    HistoryInput,
    PinActivity,
    PinInput,
    QueryInput,
    RequestInput,
    SourceInput,
    UserInput,
)
from cluster.features.likeness import unit_rows
from cluster.features.pin import PIN
from cluster.similarity.neighbours import Neighbours
from cluster.similarity.tables import Similarity

TOPICS = 4
PINS = 60
ACTIONS = 2
US_PER_DAY = 86_400_000_000


def user(recents: int = 2, **changes: object) -> UserInput:
    """A user with `recents` actions and no columns of the project's own."""
    fields: dict = {
        "numeric": np.empty(0, np.float32),
        "interests": np.array([1, 0, 0, 0], np.float32),
        "locale": 1,
        "recent_age_hours": np.arange(recents, dtype=np.float32),
        "recent_positive": np.ones(recents, bool),
        "recent_topics": np.eye(TOPICS, dtype=np.float32)[:recents],
        "recent_vectors": np.zeros((recents, 0), np.float32),
    }
    return UserInput(**{**fields, **changes})


def query(pins: int = 2, vectors: np.ndarray | None = None) -> QueryInput:
    """Query pins of one topic each, asked on a Sunday at 13 h."""
    topics = np.eye(TOPICS, dtype=np.float32)[:pins]
    none = np.zeros((pins, 0), np.float32)
    ages = np.arange(pins, dtype=np.float32)
    graph = np.arange(pins, dtype=np.int32)
    return QueryInput(graph, np.ones(pins, np.float32), ages, topics, none if vectors is None else vectors, 13, 6)


def found(n: int = 3, pins: int = 2, vectors: np.ndarray | None = None) -> CandidateInput:
    """`n` candidates with the built-in static columns."""
    rng = np.random.default_rng(0)
    by_query = rng.integers(0, 9, (n, pins)).astype(np.uint32)
    return CandidateInput(
        pins=np.arange(n, dtype=np.int32),
        sources=walked(n),
        score=np.sort(rng.random(n).astype(np.float32))[::-1] * 50,
        visits=by_query.sum(axis=1),
        hits=(by_query > 0).sum(axis=1),
        by_query=by_query,
        degree=rng.integers(1, 30, n),
        locale=np.array([1, 2, -1], np.int16)[:n],
        topics=unit_rows(rng.random((n, TOPICS)).astype(np.float32)),
        vectors=np.zeros((n, 0), np.float32) if vectors is None else vectors,
        static=rng.random((n, len(list(PIN)))).astype(np.float32),
        lift=np.zeros(n, np.float32),
        impressions=np.arange(n, dtype=np.float32),
    )


def walked(n: int) -> SourceInput:
    """All `n` candidates are the walk's alone, in its order."""
    rank = np.arange(n, dtype=np.int32)[:, None]
    return SourceInput(("walk",), rank, np.ones((n, 1), np.float32))


def found_by(rng: np.random.Generator, n: int) -> SourceInput:
    """Of the walk and another source, each with most of the `n` candidates."""
    rank = np.stack([np.where(rng.random(n) < 0.7, rng.permutation(n), -1) for _ in range(2)], axis=1)
    score = np.where(rank >= 0, rng.normal(size=(n, 2)), np.nan)
    return SourceInput(("walk", "content"), rank.astype(np.int32), score.astype(np.float32))


def pins() -> PinInput:
    """Four pins of which the third has no row and the last no date; the pins input has a price and a colour."""
    days = np.array([100, 7, 0], dtype=np.int64) * US_PER_DAY
    table = pa.table(
        {
            "created_at": pa.array([*days[:2].tolist(), None], pa.timestamp("us")),
            "price": pa.array([1.5, None, 3.0], pa.float64()),
            "colour": pa.array(["red", "blue", None]),
        }
    )
    return PinInput(
        degree=np.array([1, 20, 3, 0], np.int32),
        dated=np.array([4, 3, 0, 1]),
        recent=np.array([1, 3, 0, 0]),
        newest=107 * US_PER_DAY,
        table=table,
        rows=np.array([0, 1, -1, 2]),
        activity=PinActivity(
            total=np.array([9, 0, 2, 1], np.int32),
            by_action=np.array([[8, 1], [0, 0], [0, 2], [1, 0]], np.int32),
            week=np.array([2, 0, 0, 1], np.int32),
            month=np.array([5, 0, 1, 1], np.int32),
        ),
    )


def no_history(static: int = 0) -> HistoryInput:
    """A user who did nothing yet."""
    none = np.empty(0, np.int32)
    return HistoryInput(none, none.astype(np.int16), none.astype(bool), np.empty((0, static), np.float32))


def asked(
    by: UserInput, of: QueryInput, reached: CandidateInput, history: HistoryInput | None = None, **changes: object
) -> RequestInput:
    """A request of these parts; without a history of the user and without similar pins, unless said otherwise."""
    history = history or no_history(reached.static.shape[1])
    fields: dict = {"similarity": Similarity(), **changes}
    return RequestInput(by, of, reached, history, **fields)


def random_request(
    seed: int, n: int, queries: int, recents: int, topics: int, width: int, own: int, static: int
) -> RequestInput:
    """A request in which anything may be unknown: no interests, no locale, pins without a vector, zero visits."""
    rng, more, rates = np.random.default_rng(seed), np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])

    def rows(count: int, columns: int) -> np.ndarray:
        drawn = rng.normal(size=(count, columns)).astype(np.float32)
        drawn[rng.random(count) < 0.2] = 0.0
        return unit_rows(drawn)

    by_query = rng.integers(0, 4, (n, queries)).astype(np.uint32)
    asked_by = UserInput(
        numeric=rng.normal(size=own).astype(np.float32),
        interests=rows(1, topics)[0],
        locale=int(rng.integers(-1, 3)),
        recent_age_hours=(rng.normal(size=recents) * 50).astype(np.float32),
        recent_positive=rng.random(recents) < 0.7,
        recent_topics=rows(max(recents, 1), topics),
        recent_vectors=rows(max(recents, 1), width),
    )
    asked_of = QueryInput(
        pins=more.integers(0, PINS, queries).astype(np.int32),
        weight=rng.random(queries).astype(np.float32),
        age_hours=(rng.normal(size=queries) * 50).astype(np.float32),
        topics=rows(queries, topics),
        vectors=rows(queries, width),
        at_hour=int(rng.integers(0, 24)),
        weekday=int(rng.integers(0, 7)),
    )
    reached = CandidateInput(
        pins=more.permutation(PINS)[:n].astype(np.int32),
        sources=found_by(np.random.default_rng([seed, 3]), n),
        score=np.sort((rng.random(n) * 90).astype(np.float32))[::-1],
        visits=by_query.sum(axis=1),
        hits=(by_query > 0).sum(axis=1),
        by_query=by_query,
        degree=rng.integers(0, 30, n),
        locale=rng.integers(-1, 3, n).astype(np.int16),
        topics=rows(n, topics),
        vectors=rows(n, width),
        static=rng.normal(size=(n, static)).astype(np.float32),
        lift=rates.normal(size=n).astype(np.float32),
        impressions=rates.integers(0, 99, n).astype(np.float32),
    )
    did = HistoryInput(
        pins=more.integers(0, PINS, 3 * recents).astype(np.int32),
        action=more.integers(-1, ACTIONS, 3 * recents).astype(np.int16),
        liked=more.random(3 * recents) < 0.7,
        static=more.normal(size=(3 * recents, static)).astype(np.float32),
    )
    similarity = Similarity(*(random_neighbours(more) for _ in range(4)))
    return RequestInput(asked_by, asked_of, reached, did, similarity, ACTIONS)


def random_neighbours(rng: np.random.Generator, k: int = 9) -> Neighbours:
    """Rows of up to `k` other pins with weights of any sign."""
    ids = np.stack([rng.permutation(PINS)[:k] for _ in range(PINS)]).astype(np.int32)
    length = rng.integers(0, k + 1, PINS)
    there = np.arange(k) < length[:, None]
    weights = rng.normal(size=(PINS, k)).astype(np.float32)
    return Neighbours(np.where(there, ids, -1).astype(np.int32), np.where(there, weights, 0.0).astype(np.float32))
