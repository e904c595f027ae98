"""What pinfunnel 0.1 computed, restated in one function. Frozen: models in use were trained on these very bits.

Only the compiled loops (cluster.features.likeness) are shared; they have a NumPy reference of their own.
"""

import numpy as np

from cluster.features.inputs import PinInput, RequestInput
from cluster.features.likeness import likeness, strongest


def request_columns_0_1(request: RequestInput) -> dict[str, np.ndarray]:
    """Every column of one request by name, without the project's own: float32[n], or a scalar for all candidates."""
    user, query, found = request.user, request.query, request.found
    n, queries = found.by_query.shape
    actions = len(user.recent_age_hours)
    unknown = np.full(n, np.nan)
    best, share = strongest(found.by_query)
    topics = likeness(found.topics, query.topics, query.weight, user.recent_topics if actions else None)
    corrected = found.score / np.sqrt(np.maximum(found.degree, 1))
    corrected_rank = np.empty(n, np.int64)
    corrected_rank[np.argsort(-corrected, kind="stable")] = np.arange(n)
    columns = {
        "user_actions": np.log1p(actions),
        "user_hours_idle": np.log1p(max(float(user.recent_age_hours[0]), 0.0)) if actions else np.nan,
        "user_positive_share": user.recent_positive.mean() if actions else np.nan,
        "context_hour": query.at_hour,
        "context_weekday": query.weekday,
        "context_query_pins": queries,
        "context_reached": np.log1p(n),
        "graph_score": np.log1p(found.score),
        "graph_visits": np.log1p(found.visits),
        "graph_rank": np.log1p(np.arange(n)),
        "graph_score_share": found.score / max(float(found.score.max(initial=0.0)), 1e-9),
        "graph_hits": found.hits,
        "graph_hit_share": found.hits / max(queries, 1),
        "graph_corrected_rank": np.log1p(corrected_rank),
        "graph_lift": np.log((found.visits + 1.0) / (found.degree + 1.0)),
        "cross_best_query_share": share,
        "cross_best_query_age": np.log1p(np.maximum(query.age_hours, 0.0))[best] if queries else unknown,
        "cross_query_topic": topics[0],
        "cross_best_topic": topics[1],
        "cross_interest_topic": found.topics @ user.interests if user.interests.any() else unknown,
        "cross_history_topic": topics[2],
        "cross_locale_match": np.where((found.locale < 0) | (user.locale < 0), np.nan, found.locale == user.locale),
    }
    if found.vectors.shape[1]:
        has = found.vectors.any(axis=1)
        alike = likeness(found.vectors, query.vectors, query.weight, user.recent_vectors if actions else None)
        names = ("cross_query_vector", "cross_best_vector", "cross_history_vector")
        columns |= {name: np.where(has, column, np.nan) for name, column in zip(names, alike, strict=True)}
    return {name: np.asarray(column, np.float32) for name, column in columns.items()}


def pin_columns_0_1(pins: PinInput) -> dict[str, np.ndarray]:
    """Every static column of the pins by name, float32[n], without the project's own."""
    age = np.full(len(pins.rows), np.nan)
    for pin, row in enumerate(pins.rows):
        if pins.table is not None and pins.newest is not None and row >= 0:
            created = pins.table["created_at"].cast("int64")[int(row)].as_py()
            age[pin] = np.nan if created is None else np.float32((pins.newest - float(created)) / 86_400e6)
    columns = {
        "pin_degree": np.log1p(pins.degree),
        "pin_age_days": age,
        "pin_recent_share": np.where(pins.dated > 0, pins.recent / np.maximum(pins.dated, 1), np.nan),
    }
    return {name: np.asarray(column, np.float32) for name, column in columns.items()}
