"""Features of a candidate together with the user or the query pins: one number a candidate.

The cosines and the strongest query pin are shared: `RequestInput` computes each once.
"""

from functools import partial

import numpy as np

from cluster.features.feature import Feature, Side, of_each_action
from cluster.features.inputs import RequestInput
from cluster.settings.project import FeatureSettings

CROSS = Side[RequestInput, np.ndarray]("cross")


@CROSS.feature(version=2, of_source="walk")
def cross_best_query_share(request: RequestInput) -> np.ndarray:
    """Share of the visits that the best query pin gave."""
    _, share = request.strongest
    return share


@CROSS.feature(version=2, of_source="walk")
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


@CROSS.feature(version=1)
def cross_linear_history(request: RequestInput) -> np.ndarray:
    """Linear weights of the pins that the user liked, summed."""
    return request.linear.history


@CROSS.feature(version=1)
def cross_linear_recent(request: RequestInput) -> np.ndarray:
    """The same of the newest ten of them."""
    return request.linear.recent


@CROSS.feature(version=1)
def cross_linear_query(request: RequestInput) -> np.ndarray:
    """Linear weights of the query pins, by their share of the weight."""
    return request.linear.query


@CROSS.feature(version=1)
def cross_cosine_history(request: RequestInput) -> np.ndarray:
    """Shrunk cosines of boards with the pins that the user liked, summed."""
    return request.cosine.history


@CROSS.feature(version=1)
def cross_cosine_recent(request: RequestInput) -> np.ndarray:
    """The same of the newest ten of them."""
    return request.cosine.recent


@CROSS.feature(version=1)
def cross_cosine_query(request: RequestInput) -> np.ndarray:
    """Shrunk cosines of boards with the query pins, by their share of the weight."""
    return request.cosine.query


@CROSS.feature(version=1)
def cross_cosine_best(request: RequestInput) -> np.ndarray:
    """The largest shrunk cosine of boards with a pin that the user liked."""
    return request.cosine.best


@CROSS.feature(version=1)
def cross_steps_history(request: RequestInput) -> np.ndarray:
    """Exact chances of a walk of two steps from the pins that the user liked, summed (RP3β)."""
    return request.steps.history


@CROSS.feature(version=1)
def cross_steps_query(request: RequestInput) -> np.ndarray:
    """Exact chance of a walk of two steps from the query pins, by their share of the weight."""
    return request.steps.query


@CROSS.feature(version=1)
def cross_follows_recent(request: RequestInput) -> np.ndarray:
    """How much users act on the pin after what this one did in the last ten actions, the last counting most."""
    return request.follows.recent


@CROSS.feature(version=1)
def cross_follows_wider(request: RequestInput) -> np.ndarray:
    """The same as a mean over the last fifty actions."""
    return request.follows.wider


@CROSS.feature(version=1)
def cross_client_lift(request: RequestInput) -> np.ndarray:
    """Log of the client's smoothed rate of actions on the pin over its mean, by the log before the graph was built."""
    return request.found.lift


@CROSS.feature(version=1)
def cross_client_shown(request: RequestInput) -> np.ndarray:
    """log1p of how often the client showed the pin, by that log."""
    return np.log1p(request.found.impressions)


def told_apart(settings: FeatureSettings) -> tuple[Feature, ...]:
    """Linear weights by action, and distances in the project's own numeric columns of pins."""
    about = "linear weights of the pins with an action, summed"
    by_action = of_each_action("cross", "linear_of", about, settings.history_actions, _linear_of)
    apart = [
        Feature(
            f"cross_{name}_apart",
            "cross",
            "numeric",
            1,
            "distance of a column of the pins input from its mean over the user's history",
            partial(_apart, column=column),
        )
        for column, name in enumerate(settings.pin_numeric, -len(settings.pin_numeric + settings.pin_categorical))
    ]
    return (*by_action, *apart)


def _linear_of(request: RequestInput, code: int) -> np.ndarray:
    return request.linear.by_action[:, code]


def _apart(request: RequestInput, column: int) -> np.ndarray:
    """`column` counts from the end of the static columns, where the project's own ones stand."""
    known = request.history.static[:, column]
    known = known[np.isfinite(known)]
    return np.abs(request.found.static[:, column] - known.mean()) if len(known) else _unknown(request)


def _unknown(request: RequestInput) -> np.ndarray:
    return np.full(request.candidates, np.nan)
