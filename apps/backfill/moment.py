"""One past moment through the funnel: what was known then proposes candidates, what came next gives their labels.

Either a moment just before an action, when nothing was shown, or one at which an earlier system really showed pins.
Pure apart from the funnel that it asks; any process with the graph of that time gives the same answer.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from apps.backfill.history import Known, PastEvents
from apps.backfill.shown import KnownPast
from cluster.contract.moments import MICROSECONDS_PER_HOUR
from serving.deploy.process import Process
from serving.request.answer import Answer
from serving.request.ask import Recents, WalkAsk


@dataclass(frozen=True)
class ReplayPlan:
    """How densely history is replayed: `graphs` rebuilds, and a request every `every` actions of a user.

    Where it is known what was shown, every request that showed something is replayed instead. At most `unseen`
    candidates of a request that were neither shown nor acted on are logged, drawn evenly; training weights them by the
    inverse of their rate, and itself draws fewer: `labels.table.unimpressed_per_request`,
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
    """One past moment: the funnel's answer, and what the user did next that counts for it."""

    answer: Answer
    next_pins: np.ndarray  # ids of those actions, in time order
    next_actions: np.ndarray  # object (str)
    next_at: np.ndarray  # int64, microseconds
    request_id: str = ""  # of the request that an earlier system answered, and what that showed; empty: none did
    shown_pins: np.ndarray = field(default_factory=lambda: np.empty(0, object))  # ids
    shown_position: np.ndarray = field(default_factory=lambda: np.empty(0, np.int16))


def replay_moment(
    process: Process, history: PastEvents, client: str, plan: ReplayPlan, slice_begin: int, row: int
) -> Replayed | None:
    """The moment just before event `row`; None with too little known, or with nothing new to come.

    What counts are the user's next actions with pins not touched before. `process` walks the graph of `slice_begin`
    (microseconds): the user's events since are told to it as live ones.
    """
    start, end = history.bounds(row)
    at = int(history.at[row])
    own = history.at[start:end]
    now = start + int(np.searchsorted(own, at))  # strictly before: simultaneous events are the future
    if now - start < plan.min_history:
        return None
    before = history.known(start, now)
    after = history.known(now, start + int(np.searchsorted(own, at + int(plan.horizon_hours * MICROSECONDS_PER_HOUR))))
    fresh = ~np.isin(after.pins, before.pins)
    if not fresh.any():
        return None
    ask = _ask(process, client, history.user(row), at, plan.seed, row - start, before, slice_begin)
    answer = process.funnel.recommend_now(ask)
    return Replayed(answer, after.pins[fresh], after.actions[fresh], after.at[fresh])


def replay_request(
    process: Process, past: KnownPast, client: str, plan: ReplayPlan, slice_begin: int, number: int
) -> Replayed | None:
    """Request `number` of an earlier system; None with too little known of its user.

    What was shown is among the candidates, as far as the graph of `slice_begin` has it. What counts are the events that
    answer the request.
    """
    assert past.shown is not None
    request = past.shown.request(number)
    start, end = request.past
    now = start + int(np.searchsorted(past.events.at[start:end], request.at))
    if now - start < plan.min_history:
        return None
    before = past.events.known(start, now)
    ask = _ask(process, client, request.user_id, request.at, plan.seed, number, before, slice_begin)
    answer = process.funnel.recommend_now(replace(ask, also=tuple(request.pins.tolist())))
    next_ = past.events.taken(request.answers)
    return Replayed(answer, next_.pins, next_.actions, next_.at, request.request_id, request.pins, request.position)


def _ask(
    process: Process, client: str, user_id: int | str, at: int, seed: int, nth: int, before: Known, slice_begin: int
) -> WalkAsk:
    """What a server would have asked at `at`, when `before` was all that the user had done; `nth` varies the seed."""
    remembered = process.project.features.remembered  # as a server does
    live = slice(max(int(np.searchsorted(before.at, slice_begin)), len(before.at) - remembered), None)
    newest = slice(None, None, -1)
    return WalkAsk(
        client=client,
        user_id=user_id,
        query_pins=(),
        exclude=tuple(before.pins.tolist()),
        locale=None,
        at=at,
        seed=(seed * 1_000_003 + at + nth) & 0x7FFFFFFF,
        recents=Recents(
            before.pins[live][newest].astype(object),
            before.actions[live][newest],
            before.clients[live][newest],
            before.at[live][newest],
        ),
    )
