"""The pure stage sequence: walk, lightweight ranking, full ranking, policy. No Ray, no HTTP, no disk.

The stages are awaitables, so the same code runs over plain classes in one process (`direct_stages`) and over remote
deployments. A stage that fails or misses the deadline degrades the answer instead of losing it.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from cluster.clients import Client
from cluster.schema import IMPRESSED, RANKED, WALKED
from serving.full import FullLogic
from serving.lightweight import LightweightLogic
from serving.messages import Ranked, Scored, WalkAsk, Walked
from serving.walker import WalkerLogic

T = TypeVar("T")


@dataclass(frozen=True)
class Stages:
    """The three stages as awaitables; whether they cross a process is not the funnel's business."""

    walk: Callable[[WalkAsk], Awaitable[Walked]]
    rank: Callable[[WalkAsk, Walked, bool], Awaitable[Ranked]]
    score: Callable[[WalkAsk, Walked, Ranked], Awaitable[Scored]]
    explain: Callable[[str, Ranked, np.ndarray], Awaitable[list[dict[str, float]]]]


def direct_stages(walker: WalkerLogic, lightweight: LightweightLogic, full: FullLogic) -> Stages:
    """Stages called in place, for callers that have no event loop to keep free: notebooks, backfill, tests."""

    async def walk(ask: WalkAsk) -> Walked:
        return walker.walk(ask)

    async def rank(ask: WalkAsk, walked: Walked, by_visits: bool) -> Ranked:
        return lightweight.rank(ask, walked, by_visits)

    async def score(ask: WalkAsk, walked: Walked, ranked: Ranked) -> Scored:
        return full.score(ask, walked, ranked)

    async def explain(client: str, ranked: Ranked, places: np.ndarray) -> list[dict[str, float]]:
        return lightweight.explain(client, ranked, places)

    return Stages(walk, rank, score, explain)


def threaded_stages(walker: WalkerLogic, lightweight: LightweightLogic, full: FullLogic) -> Stages:
    """Stages in this process, each call in a thread so that an event loop stays free."""
    return Stages(
        lambda ask: asyncio.to_thread(walker.walk, ask),
        lambda ask, walked, by_visits: asyncio.to_thread(lightweight.rank, ask, walked, by_visits),
        lambda ask, walked, ranked: asyncio.to_thread(full.score, ask, walked, ranked),
        lambda client, ranked, places: asyncio.to_thread(lightweight.explain, client, ranked, places),
    )


@dataclass
class StageTiming:
    """What one stage took, kept and cost."""

    stage: str
    version: str | None
    received: int
    kept: int
    milliseconds: float


@dataclass
class Answer:
    """Everything about one answered request: what the user gets and what the log keeps."""

    ask: WalkAsk
    walked: Walked
    ranked: Ranked | None
    scored: Scored | None
    shown: np.ndarray  # int32[m], places in walked.pins, best first
    explored: np.ndarray  # bool[m]
    stages: list[StageTiming] = field(default_factory=list)
    degraded: str = ""
    contributions: list[dict[str, float]] = field(default_factory=list)  # aligned with `shown`; empty unless explained

    def stage_reached(self) -> np.ndarray:
        """WALKED, RANKED or IMPRESSED of every candidate, int8[n]."""
        out = np.full(len(self.walked.pins), WALKED, np.int8)
        if self.ranked is not None:
            out[self.ranked.survivors] = RANKED
        out[self.shown] = IMPRESSED
        return out

    def full_scores(self) -> np.ndarray:
        """Utility of every candidate, float32[n]; NaN where the full ranker did not score."""
        out = np.full(len(self.walked.pins), np.nan, np.float32)
        if self.ranked is not None and self.scored is not None:
            out[self.ranked.survivors] = self.scored.utility
        return out


def cap_topics(order: np.ndarray, topics: np.ndarray, cap: int) -> np.ndarray:
    """`order` with pins beyond `cap` of one topic moved to the end; nothing is dropped. -1, no topic, has no cap."""
    if cap <= 0:
        return order
    used: dict[int, int] = {}
    first: list[int] = []
    later: list[int] = []
    for place in order.tolist():
        topic = int(topics[place])
        used[topic] = used.get(topic, 0) + 1
        (later if topic >= 0 and used[topic] > cap else first).append(place)
    return np.array([*first, *later], dtype=order.dtype)


def explore(order: np.ndarray, size: int, slots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The answer's places and which of them were drawn at random: `slots` of `size` come from the rest of `order`.

    Random slots keep the log's labels from being only about what the ranking already likes.
    """
    slots = min(slots, max(len(order) - size, 0))
    top, rest = order[: size - slots], order[size - slots :]
    rng = np.random.default_rng(seed)
    drawn = rng.choice(rest, slots, replace=False) if slots else rest[:0]
    answer = list(top)
    flags = [False] * len(answer)
    for pin in drawn:
        at = int(rng.integers(0, len(answer) + 1))
        answer.insert(at, pin)
        flags.insert(at, True)
    return np.array(answer, np.int32), np.array(flags, bool)


class Funnel:
    """Runs the stages of one client's request within a deadline."""

    def __init__(self, stages: Stages, clients: dict[str, Client], deadline_ms: float = 500.0):
        self._stages, self._clients, self._deadline = stages, clients, deadline_ms / 1e3

    def recommend_now(self, ask: WalkAsk, **options: Any) -> Answer:
        """`recommend` for callers without an event loop; over `direct_stages` it never waits."""
        try:
            self.recommend(ask, **options).send(None)
        except StopIteration as done:
            answer: Answer = done.value
            return answer
        raise RuntimeError("recommend_now needs stages that never wait: build the funnel from direct_stages")

    async def recommend(
        self, ask: WalkAsk, *, by_visits: bool = False, limit: int | None = None, explain: bool = False
    ) -> Answer:
        """Answer one request. Raises only what the walker raises: without candidates there is no answer."""
        client = self._clients[ask.client]
        size = limit or client.sizes.answer
        end = time.perf_counter() + self._deadline
        began = time.perf_counter()
        walked = await self._stages.walk(ask)
        answer = Answer(ask, walked, None, None, np.empty(0, np.int32), np.empty(0, bool))
        n = len(walked.pins)
        answer.stages.append(StageTiming("walker", walked.graph_version, len(walked.query_pins), n, _ms(began)))

        began = time.perf_counter()
        ranked = answer.ranked = await self._attempt(
            "lightweight", lambda: self._stages.rank(ask, walked, by_visits), end, answer
        )
        if ranked is None:
            answer.shown = np.arange(min(n, size), dtype=np.int32)
            answer.explored = np.zeros(len(answer.shown), bool)
            return answer
        answer.stages.append(StageTiming("lightweight", ranked.version, n, len(ranked.survivors), _ms(began)))

        order = np.arange(len(ranked.survivors))
        if not by_visits:
            began = time.perf_counter()
            scored = answer.scored = await self._attempt(
                "full", lambda: self._stages.score(ask, walked, ranked), end, answer
            )
            if scored is not None:
                kept = min(size, len(order))
                answer.stages.append(StageTiming("full", scored.version, len(order), kept, _ms(began)))
                if scored.version is not None:
                    order = np.argsort(-scored.utility, kind="stable")
            order = cap_topics(order, ranked.topics, client.topic_cap)
        slots = 0 if by_visits else client.sizes.explore
        shown, answer.explored = explore(order, size, slots, ask.seed)
        answer.shown = ranked.survivors[shown]
        if explain and ranked.version is not None:
            answer.contributions = await self._stages.explain(ask.client, ranked, answer.shown)
        return answer

    async def _attempt(self, stage: str, call: Callable[[], Awaitable[T]], end: float, answer: Answer) -> T | None:
        """The stage's result, or None with the reason noted in `answer.degraded`."""
        left = end - time.perf_counter()
        if left <= 0:
            answer.degraded = f"{stage}: no time left"
            return None
        if math.isinf(left):  # called in place: a fault is the caller's to see, and there is no loop to time with
            return await call()
        try:
            return await asyncio.wait_for(call(), left)
        except TimeoutError:
            answer.degraded = f"{stage}: not done within the deadline"
        except Exception as error:  # any fault of a ranking stage leaves the order before it
            answer.degraded = f"{stage}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return None


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
