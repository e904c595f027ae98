"""Small inputs of features that tests change at will, and random ones."""

import numpy as np
import pyarrow as pa

from cluster.features.inputs import CandidateInput, PinInput, QueryInput, UserInput
from cluster.features.likeness import unit_rows
from cluster.features.pin import PIN

TOPICS = 4
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
    return QueryInput(np.ones(pins, np.float32), ages, topics, none if vectors is None else vectors, 13, 6)


def found(n: int = 3, pins: int = 2, vectors: np.ndarray | None = None) -> CandidateInput:
    """`n` candidates with the built-in static columns."""
    rng = np.random.default_rng(0)
    by_query = rng.integers(0, 9, (n, pins)).astype(np.uint32)
    return CandidateInput(
        score=np.sort(rng.random(n).astype(np.float32))[::-1] * 50,
        visits=by_query.sum(axis=1),
        hits=(by_query > 0).sum(axis=1),
        by_query=by_query,
        degree=rng.integers(1, 30, n),
        locale=np.array([1, 2, -1], np.int16)[:n],
        topics=unit_rows(rng.random((n, TOPICS)).astype(np.float32)),
        vectors=np.zeros((n, 0), np.float32) if vectors is None else vectors,
        static=rng.random((n, len(list(PIN)))).astype(np.float32),
    )


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
    )


def random_request(
    seed: int, n: int, queries: int, recents: int, topics: int, width: int, own: int, static: int
) -> tuple[UserInput, QueryInput, CandidateInput]:
    """A request in which anything may be unknown: no interests, no locale, pins without a vector, zero visits."""
    rng = np.random.default_rng(seed)

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
    asked = QueryInput(
        weight=rng.random(queries).astype(np.float32),
        age_hours=(rng.normal(size=queries) * 50).astype(np.float32),
        topics=rows(queries, topics),
        vectors=rows(queries, width),
        at_hour=int(rng.integers(0, 24)),
        weekday=int(rng.integers(0, 7)),
    )
    reached = CandidateInput(
        score=np.sort((rng.random(n) * 90).astype(np.float32))[::-1],
        visits=by_query.sum(axis=1),
        hits=(by_query > 0).sum(axis=1),
        by_query=by_query,
        degree=rng.integers(0, 30, n),
        locale=rng.integers(-1, 3, n).astype(np.int16),
        topics=rows(n, topics),
        vectors=rows(n, width),
        static=rng.normal(size=(n, static)).astype(np.float32),
    )
    return asked_by, asked, reached
