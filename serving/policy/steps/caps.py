"""At most so many pins of one board and of one main topic in front; the surplus moves back."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from cluster.settings.clients import PolicySettings
from serving.policy.registry import Phase, PolicyRequest, Step, register
from serving.policy.slate import Rows, Slate


@register("caps", Phase.CAP)
def caps(policy: PolicySettings) -> Iterator[Step]:
    """`policy.board_cap` and `policy.topic_cap`."""
    if policy.board_cap:
        yield partial(cap, part="board", most=policy.board_cap)
    if policy.topic_cap:
        yield partial(cap, part="topic", most=policy.topic_cap)


def cap(slate: Slate, request: PolicyRequest, part: Literal["board", "topic"], most: int) -> Slate:
    """Moves back what is beyond `most` candidates of one board or topic.

    Nothing is lost, so a short slate still fills the answer; the surplus keeps its order. -1 is never capped.
    """
    group = slate.board if part == "board" else slate.topic
    if group is None:
        return slate
    within = (_rank_within(group) < most) | (group < 0)
    return slate if within.all() else slate.pick(np.argsort(~within, kind="stable"))


def _rank_within(group: npt.NDArray) -> Rows:
    """How many earlier rows share row i's group."""
    rank = np.empty(len(group), np.int64)
    if not len(group):
        return rank
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    length = np.diff(np.append(starts, len(group)))
    rank[order] = np.arange(len(group)) - np.repeat(starts, length)
    return rank
