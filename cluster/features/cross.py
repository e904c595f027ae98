"""Features of a candidate together with the user or the query pins: one number a candidate.

The cosines and the strongest query pin are shared: `RequestInput` computes each once.
"""

import numpy as np

from cluster.features.feature import Side
from cluster.features.inputs import RequestInput

CROSS = Side[RequestInput, np.ndarray]("cross")


@CROSS.feature(version=1)
def cross_best_query_share(request: RequestInput) -> np.ndarray:
    """Share of the visits that the best query pin gave."""
    _, share = request.strongest
    return share


@CROSS.feature(version=1)
def cross_best_query_age(request: RequestInput) -> np.ndarray:
    """log1p of hours since the action on the best query pin."""
    if not request.queries:
        return _unknown(request)
    best, _ = request.strongest
    return np.log1p(np.maximum(request.query.age_hours, 0.0))[best]


@CROSS.feature(version=1)
def cross_query_topic(request: RequestInput) -> np.ndarray:
    """Cosine of the pin's topics with the weighted mean of the query pins'."""
    return request.topic_likeness.query


@CROSS.feature(version=1)
def cross_best_topic(request: RequestInput) -> np.ndarray:
    """Largest cosine of the pin's topics with one query pin's."""
    return request.topic_likeness.best


@CROSS.feature(version=1)
def cross_interest_topic(request: RequestInput) -> np.ndarray:
    """Cosine of the pin's topics with the user's declared interests."""
    interests = request.user.interests
    return request.found.topics @ interests if interests.any() else _unknown(request)


@CROSS.feature(version=1)
def cross_history_topic(request: RequestInput) -> np.ndarray:
    """Cosine of the pin's topics with those of the user's recent actions."""
    return request.topic_likeness.history


@CROSS.feature(version=1)
def cross_locale_match(request: RequestInput) -> np.ndarray:
    """1 when pin and user share a locale, 0 when not, NaN when unknown."""
    pin, user = request.found.locale, request.user.locale
    return np.where((pin < 0) | (user < 0), np.nan, pin == user)


@CROSS.feature(version=1, of_vectors=True)
def cross_query_vector(request: RequestInput) -> np.ndarray:
    """Cosine of the pin's vector with the weighted mean of the query pins'."""
    return request.vector_likeness.query


@CROSS.feature(version=1, of_vectors=True)
def cross_best_vector(request: RequestInput) -> np.ndarray:
    """Largest cosine of the pin's vector with one query pin's."""
    return request.vector_likeness.best


@CROSS.feature(version=1, of_vectors=True)
def cross_history_vector(request: RequestInput) -> np.ndarray:
    """Cosine of the pin's vector with the mean of the user's recent actions'."""
    return request.vector_likeness.history


def _unknown(request: RequestInput) -> np.ndarray:
    return np.full(request.candidates, np.nan)
