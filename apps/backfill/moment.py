"""One past moment through the funnel: what was known then proposes candidates, what came next gives their labels.

Pure apart from the funnel that it asks; any process with the graph of that time gives the same answer.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from apps.backfill.history import PastEvents
from serving.deploy.process import Process
from serving.request.answer import Answer
from serving.request.ask import Recents, WalkAsk

MOST_LIVE = 256
"""Newest actions of a slice that the walk is told of, as a server remembers them."""


@dataclass(frozen=True)
class ReplayPlan:
    """How densely history is replayed: `graphs` rebuilds, and a request every `every` actions of a user.

    At most `unseen` candidates of a request that led to no action are logged, drawn evenly; training weights them by
    the inverse of their rate, and itself draws fewer: `labels.table.unimpressed_per_request`,
    `ranker.unimpressed_replayed`.
    """

    graphs: int = 6
    every: int = 10
    min_history: int = 3
    horizon_hours: float = 24.0
    since: datetime | None = None
    until: datetime | None = None
    seed: int = 0
    unseen: int = 100


@dataclass(frozen=True)
class Replayed:
    """One past moment: the funnel's answer, and what the user did next with pins not touched before."""

    answer: Answer
    next_pins: np.ndarray  # ids of the next actions, in time order
    next_actions: np.ndarray  # object (str)
    next_at: np.ndarray  # int64, microseconds


def replay_moment(
    process: Process, history: PastEvents, client: str, plan: ReplayPlan, slice_begin: int, row: int
) -> Replayed | None:
    """The moment just before event `row`; None with too little known, or with nothing new to come.

    `process` walks the graph of `slice_begin` (microseconds): the user's events since are told to it as live ones.
    """
    start, end = history.bounds(row)
    at = int(history.at[row])
    own = history.at[start:end]
    known = int(np.searchsorted(own, at))  # strictly before: simultaneous events are the future
    if known < plan.min_history:
        return None
    past = history.known(start, start + int(np.searchsorted(own, at + int(plan.horizon_hours * 3.6e9))))
    after = slice(known, None)
    fresh = ~np.isin(past.pins[after], past.pins[:known])
    if not fresh.any():
        return None
    live = slice(max(int(np.searchsorted(own, slice_begin)), known - MOST_LIVE), known)
    newest = slice(None, None, -1)
    ask = WalkAsk(
        client=client,
        user_id=past.user_id,
        query_pins=(),
        exclude=tuple(past.pins[:known].tolist()),
        locale=None,
        at=at,
        seed=(plan.seed * 1_000_003 + at + row - start) & 0x7FFFFFFF,
        recents=Recents(
            past.pins[live][newest].astype(object),
            past.actions[live][newest],
            past.clients[live][newest],
            past.at[live][newest],
        ),
    )
    answer = process.funnel.recommend_now(ask)
    return Replayed(answer, past.pins[after][fresh], past.actions[after][fresh], past.at[after][fresh])
