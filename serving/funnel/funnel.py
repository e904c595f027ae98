"""The pure stage sequence: walk, lightweight ranking, full ranking, policy. No Ray, no HTTP, no disk.

A stage that fails or misses the deadline degrades the answer instead of losing it; the policy holds either way.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np

from cluster.settings.clients import Client
from serving.funnel.stages import Stages
from serving.funnel.teacher import Teacher
from serving.policy.pipeline import Policy, slate_of
from serving.policy.seen import Seen
from serving.request.answer import Answer, StageTiming
from serving.request.ask import WalkAsk
from serving.request.ranked import Ranked

T = TypeVar("T")

KEEP = 0.1
"""Share of the time left that the full stage does not get: its answer has to travel back and through the policy."""


def explore(order: np.ndarray, size: int, slots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The answer, and which of it was drawn at random: `slots` of `size` come from behind the best of `order`.

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

    def __init__(
        self, stages: Stages, clients: dict[str, Client], deadline_ms: float = 500.0, teacher: Teacher | None = None
    ):
        self._stages, self._clients, self._deadline = stages, clients, deadline_ms / 1e3
        self.teacher = teacher or Teacher()
        self._policies = {name: Policy.of(client) for name, client in clients.items()}
        self._seen = Seen()

    def recommend_now(self, ask: WalkAsk, **options: Any) -> Answer:
        """`recommend` for callers without an event loop; over `direct_stages` it never waits."""
        return self._now(self.recommend(ask, **options))

    def teach_now(self, answer: Answer) -> None:
        """`teach` for callers without an event loop."""
        self._now(self.teach(answer))

    @staticmethod
    def _now(running: Any) -> Any:
        try:
            running.send(None)
        except StopIteration as done:
            return done.value
        raise RuntimeError("a call without an event loop needs stages that never wait: use direct_stages")

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
            "lightweight", lambda _: self._stages.rank(ask, walked, by_visits), end, answer
        )
        if ranked is not None:
            answer.stages.append(StageTiming("lightweight", ranked.version, n, len(ranked.survivors), _ms(began)))
            if not by_visits:
                await self._score(answer, ranked, end, size)
        self._choose(answer, client, size, by_visits)
        if explain and ranked is not None and ranked.version is not None:
            answer.contributions = await self._stages.explain(ask.client, ranked, answer.shown)
        return answer

    async def teach(self, answer: Answer) -> None:
        """Lets the full ranker score a sample of what the lightweight stage dropped; after the answer is given."""
        await self.teacher.teach(answer, self._stages)

    async def _score(self, answer: Answer, ranked: Ranked, end: float, size: int) -> None:
        began, n = time.perf_counter(), len(ranked.survivors)
        scored = answer.scored = await self._attempt(
            "full", lambda left: self._stages.score(answer.ask, answer.walked, ranked, (1 - KEEP) * left), end, answer
        )
        if scored is None:
            return
        answer.stages.append(StageTiming("full", scored.version, n, min(size, n), _ms(began)))
        missing = int(np.isnan(scored.utility).sum())
        if scored.version is not None and missing:
            answer.degraded = f"full: {n - missing} of {n} scored within the deadline"

    def _choose(self, answer: Answer, client: Client, size: int, by_visits: bool) -> None:
        """What is shown: the policy over the slate, then exploration; an answer without ranking explores nothing."""
        ask, walked, policy = answer.ask, answer.walked, client.policy
        since = ask.at - int(policy.seen_hours * 3.6e9)
        seen = self._seen.often(ask.client, ask.user_id, since, policy.seen_times)
        acted = ask.recents.pin_ids[ask.recents.occurred_at < ask.at]
        hidden = np.array([*ask.exclude, *acted.tolist()], dtype=object)
        slate = slate_of(walked, answer.ranked, answer.scored, by_visits)
        ranking = not by_visits and answer.ranked is not None
        slate = self._policies[ask.client].apply(walked, slate, size, hidden, seen, arrange=ranking)
        answer.removed = dict(slate.removed)
        answer.shown, answer.explored = explore(slate.pin, size, client.sizes.explore if ranking else 0, ask.seed)
        if policy.seen_times:
            self._seen.note(ask.client, ask.user_id, ask.at, walked.pin_ids[answer.shown].tolist())

    async def _attempt(self, stage: str, call: Callable[[float], Awaitable[T]], end: float, answer: Answer) -> T | None:
        """The result of `call(seconds left)`, or None with the reason noted in `answer.degraded`."""
        left = end - time.perf_counter()
        if left <= 0:
            answer.degraded = f"{stage}: no time left"
            return None
        if math.isinf(left):  # called in place: a fault is the caller's to see, and there is no loop to time with
            return await call(left)
        try:
            return await asyncio.wait_for(call(left), left)
        except TimeoutError:
            answer.degraded = f"{stage}: not done within the deadline"
        except Exception as error:  # any fault of a ranking stage leaves the order before it
            answer.degraded = f"{stage}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return None


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
