"""The three stages as awaitables, so that one funnel runs over plain classes and over remote deployments alike."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from serving.candidates.walker import WalkerLogic
from serving.full.stage import FullLogic
from serving.lightweight.stage import LightweightLogic
from serving.request.ask import WalkAsk
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from serving.request.walked import Walked


@dataclass(frozen=True)
class Stages:
    """Whether they cross a process is not the funnel's business. `score` is told how many seconds it has."""

    walk: Callable[[WalkAsk], Awaitable[Walked]]
    rank: Callable[[WalkAsk, Walked, bool], Awaitable[Ranked]]
    score: Callable[[WalkAsk, Walked, Ranked, float], Awaitable[Scored]]
    explain: Callable[[str, Ranked, np.ndarray], Awaitable[list[dict[str, float]]]]


def direct_stages(walker: WalkerLogic, lightweight: LightweightLogic, full: FullLogic) -> Stages:
    """Stages called in place, for callers that have no event loop to keep free: notebooks, backfill, tests."""

    async def walk(ask: WalkAsk) -> Walked:
        return walker.walk(ask)

    async def rank(ask: WalkAsk, walked: Walked, by_visits: bool) -> Ranked:
        return lightweight.rank(ask, walked, by_visits)

    async def score(ask: WalkAsk, walked: Walked, ranked: Ranked, seconds: float) -> Scored:
        return full.score(ask, walked, ranked, seconds)

    async def explain(client: str, ranked: Ranked, rows: np.ndarray) -> list[dict[str, float]]:
        return lightweight.explain(client, ranked, rows)

    return Stages(walk, rank, score, explain)


def threaded_stages(walker: WalkerLogic, lightweight: LightweightLogic, full: FullLogic) -> Stages:
    """Stages in this process, each call in a thread so that an event loop stays free."""
    return Stages(
        lambda ask: asyncio.to_thread(walker.walk, ask),
        lambda ask, walked, by_visits: asyncio.to_thread(lightweight.rank, ask, walked, by_visits),
        lambda ask, walked, ranked, seconds: asyncio.to_thread(full.score, ask, walked, ranked, seconds),
        lambda client, ranked, rows: asyncio.to_thread(lightweight.explain, client, ranked, rows),
    )
