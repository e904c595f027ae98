"""Leaves out what the request excludes or the user acted on, and what the user was shown too often."""

from collections.abc import Iterator

import numpy as np

from cluster.settings.clients import PolicySettings
from serving.policy.registry import Phase, PolicyRequest, Step, register
from serving.policy.slate import Rows, Slate


@register("exclude", Phase.FILTER)
def exclusions(policy: PolicySettings) -> Iterator[Step]:
    """For every client; `policy.seen_times` decides what is in `request.seen`."""
    yield hidden
    yield seen


def hidden(slate: Slate, request: PolicyRequest) -> Slate:
    """Without `request.hidden`."""
    return _without(slate, request.hidden, "hidden")


def seen(slate: Slate, request: PolicyRequest) -> Slate:
    """Without `request.seen`."""
    return _without(slate, request.seen, "seen")


def _without(slate: Slate, pins: Rows, name: str) -> Slate:
    if not len(pins):
        return slate
    return slate.pick(np.flatnonzero(~np.isin(slate.pin, pins)), name)
