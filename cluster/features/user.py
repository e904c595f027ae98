"""Features of the user: one number a request, the same for all its candidates."""

from functools import partial

import numpy as np

from cluster.features.feature import Dtype, Feature, Side, of_each_action
from cluster.features.inputs import RequestInput
from cluster.settings.project import FeatureSettings

USER = Side[RequestInput, float]("user")


@USER.feature(version=1)
def user_actions(request: RequestInput) -> float:
    """log1p of the user's known recent actions."""
    return np.log1p(request.actions)


@USER.feature(version=1)
def user_hours_idle(request: RequestInput) -> float:
    """log1p of hours since the last action; NaN for a new user."""
    if not request.actions:
        return np.nan
    return np.log1p(max(float(request.user.recent_age_hours[0]), 0.0))


@USER.feature(version=1)
def user_positive_share(request: RequestInput) -> float:
    """Share of recent actions that are not negative; NaN for a new user."""
    return request.user.recent_positive.mean() if request.actions else np.nan


@USER.feature(version=1)
def user_history(request: RequestInput) -> float:
    """log1p of the user's known actions on pins of the graph, as far back as is kept."""
    return np.log1p(len(request.history.pins))


def action_rates(settings: FeatureSettings) -> tuple[Feature, ...]:
    """What the user does: a column for each action that is told apart."""
    return of_each_action(
        "user", "share_of", "share of an action in the user's history", settings.history_actions, _share
    )


def own_user_features(settings: FeatureSettings) -> tuple[Feature, ...]:
    """The columns of the users input that pinfunnel.yaml names, in the order of the user table's columns."""
    named: list[tuple[str, Dtype]] = [(name, "numeric") for name in settings.user_numeric]
    named += [(name, "categorical") for name in settings.user_categorical]
    return tuple(
        Feature(f"user_{name}", "user", dtype, 1, "a column of the users input", partial(_own, column=column))
        for column, (name, dtype) in enumerate(named)
    )


def _share(request: RequestInput, code: int) -> float:
    return (request.history.action == code).mean() if len(request.history.action) else np.nan


def _own(request: RequestInput, column: int) -> float:
    return request.user.numeric[column]
