"""One request through the stages: walk, lightweight ranking, full ranking, policy. No Ray, no HTTP, no disk.

A stage that fails or misses the deadline costs the answer that stage only; the policy holds either way.
"""

import asyncio
import math
from dataclasses import replace
from typing import Any

import numpy as np

from cluster.settings.clients import Client
from serving.candidates.query import Query
from serving.candidates.stage import CandidatesLogic
from serving.experiments.arms import Arms, not_as_pinned, with_arm
from serving.experiments.draft import team_draft
from serving.experiments.plan import NOTHING, Drawn
from serving.funnel.choose import Chooser
from serving.funnel.runner import Fault, Runner, StageObserver
from serving.funnel.stages import Contributions, Overloaded, Stages
from serving.funnel.teacher import PATIENCE, Teacher
from serving.funnel.timings import timings
from serving.request.answer import Answer
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.deadline import RESERVE, Deadline
from serving.request.found import FoundPins
from serving.request.log_odds import Reasons
from serving.request.ranked import Ranked
from serving.request.scored import Scored


class NoCandidates(Exception):
    """No source, and not even the popular pins, gave anything to answer with."""


class Funnel:
    """Runs the stages of one client's request within a deadline.

    `candidates` reads the request and mixes in this process what the sources found, wherever they run. Without a
    deadline a fault is the caller's to see.
    """

    def __init__(
        self,
        stages: Stages,
        candidates: CandidatesLogic,
        clients: dict[str, Client],
        deadline_ms: float = 500.0,
        teacher: Teacher | None = None,
        share: float = 0.5,
        observer: StageObserver | None = None,
        arms: Arms | None = None,
    ):
        """`share` of the time left is the sources': whatever is late by then is not waited for.

        `arms`: the experiments that requests may be in; None: none is.
        """
        self._stages = stages
        self._arms = arms
        self._candidates = candidates
        self._share = share
        self._seconds = deadline_ms / 1e3
        self._endless = math.isinf(deadline_ms)
        self._observer = observer
        self.teacher = teacher or Teacher()
        self._chooser = Chooser(clients)

    def recommend_now(self, ask: WalkAsk, **options: Any) -> Answer:
        """`recommend` for callers without an event loop; over `DirectStages` it never waits."""
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
        raise RuntimeError("a call without an event loop needs stages that never wait: use DirectStages")

    async def recommend(
        self,
        ask: WalkAsk,
        *,
        by_visits: bool = False,
        limit: int | None = None,
        explain: bool = False,
        deadline: Deadline | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> Answer:
        """Answer one request, of which `faults` are known already, by its `deadline`: the project's if there is none.

        A funnel without a deadline has none whatever is asked.

        Raises NoCandidates, Overloaded, and PinfunnelError when no graph can be opened.
        """
        drawn = NOTHING if self._arms is None or by_visits else self._arms.draw(ask)
        ask = with_arm(ask, drawn.arm)
        size = limit or self._chooser.client(ask).sizes.answer
        ask = replace(ask, limit=size, seen=tuple(self._chooser.seen_too_often(ask).tolist()))
        if deadline is None or self._endless:
            deadline = Deadline.after(self._seconds)
        run = Runner(ask.client, deadline, self._observer, strict=self._endless)
        for fault in faults:
            run.note(*fault)
        for note in drawn.notes:
            run.note("experiment", "arm", note)

        candidates = await self._find(run, ask)
        answer = await self._ordered(run, ask, candidates, by_visits, not drawn.interleaves)
        answer.exposure = drawn.exposure
        if drawn.interleaves:
            await self._interleave(run, answer, drawn)
        self._chooser.remember(answer)
        self._tell(run, answer, size)
        if explain:
            answer.discoveries = self._candidates.discoveries(candidates, answer.shown.tolist())
            answer.contributions = await self._explain(run, answer)
            answer.reasons = await self._explain_full(run, answer)

        answer.stages = timings(answer, run.milliseconds, size)
        answer.faults = run.faults
        if not self._endless:
            self._candidates.note_time(ask, 1.0 - run.deadline.left() / self._seconds)
        return answer

    async def teach(self, answer: Answer) -> None:
        """Lets the full ranker score a sample of what the lightweight stage dropped; after the answer is given."""
        patience = math.inf if self._endless else PATIENCE
        run = Runner(answer.ask.client, Deadline.after(patience), self._observer)
        await self.teacher.teach(answer, self._stages, run)

    async def _find(self, run: Runner, ask: WalkAsk) -> Candidates:
        """All sources at the same time, and what they found as one table; popular pins when that is nothing."""
        query = self._candidates.query(ask)
        budget = self._candidates.budgets(query)
        found = await self._sources(run, query, budget)
        if not found and any(isinstance(error, Overloaded) for error in run.errors.values()):
            raise next(error for error in run.errors.values() if isinstance(error, Overloaded))
        candidates = run.run_late("mix", self._candidates.mixed, query, found, budget)
        if candidates is None:
            raise NoCandidates("; ".join(run.faults)) from run.errors["mix"]
        for note in candidates.notes:
            run.note("candidates", "query_pins", note)
        return candidates

    async def _sources(self, run: Runner, query: Query, budget: dict[str, int]) -> dict[str, FoundPins]:
        """What each source found in its time; those that failed or are late are noted, and not in it."""
        share = self._share * run.deadline.left()

        async def ask_one(name: str, seconds: float) -> FoundPins | None:
            found = await run.run_within(
                seconds, name, self._stages.generate, name, query, budget[name], (1 - RESERVE) * seconds
            )
            if found is not None and found.lacks:
                run.note(name, "shards", found.lacks)
            return found

        limits = {
            name: min(share, math.inf if source.timeout_ms is None else source.timeout_ms / 1e3)
            for name, source in query.client.sources.items()
            if name in budget
        }
        here = [name for name in limits if self._stages.in_place(name, query)]
        elsewhere = [name for name in limits if name not in here]
        if run.deadline.endless:  # there may be no event loop to wait in
            answers = {name: await ask_one(name, math.inf) for name in limits}
        elif not elsewhere:
            answers = {name: await ask_one(name, limits[name]) for name in here}
        else:
            async with asyncio.TaskGroup() as group:
                waiting = {name: group.create_task(ask_one(name, limits[name])) for name in elsewhere}
                await asyncio.sleep(0)  # they begin before this thread is busy
                answers = {name: await ask_one(name, limits[name]) for name in here}
            answers |= {name: task.result() for name, task in waiting.items()}
        return {name: found for name in limits if (found := answers[name]) is not None}

    async def _ordered(
        self, run: Runner, ask: WalkAsk, candidates: Candidates, by_visits: bool, explores: bool
    ) -> Answer:
        """The candidates in the order of both rankers, and what the policy shows of them."""
        ranked = await run.run("lightweight", self._stages.rank, ask, candidates, by_visits)
        scored = None if by_visits else await self._score(run, ask, candidates, ranked)
        answer = Answer(ask, candidates, ranked, scored)
        self._chooser.choose(answer, ask.limit, by_visits, explores)
        for note in not_as_pinned(answer):
            run.note("experiment", "arm", note)
        return answer

    async def _interleave(self, run: Runner, answer: Answer, drawn: Drawn) -> None:
        """Makes the answer a team draft of its order and that of the other arm; without that one it stays as it is."""
        second = Runner(answer.ask.client, run.deadline, self._observer, strict=self._endless)
        ask = with_arm(answer.ask, drawn.other)
        other = await self._ordered(second, ask, answer.candidates, False, explores=False)
        run.faults += [f"second order: {fault}" for fault in second.faults]
        if answer.ranked is None or other.ranked is None:
            run.note("experiment", "arm", "only one order is there in time: nothing is interleaved")
            return
        draft = team_draft(answer.shown, other.shown, answer.ask.limit, answer.ask.seed)
        answer.shown = draft.shown
        answer.team = draft.team
        answer.explored = np.zeros(len(draft.shown), bool)

    async def _score(self, run: Runner, ask: WalkAsk, candidates: Candidates, ranked: Ranked | None) -> Scored | None:
        if ranked is None:
            return None
        scored = await run.run("full", self._stages.score, ask, candidates, ranked, run.deadline.budget())
        if scored is not None and scored.version is not None:
            n, missing = len(scored.utility), int(np.isnan(scored.utility).sum())
            if missing:
                run.note("full", "partial", f"{n - missing} of {n} scored within the deadline")
        return scored

    async def _explain(self, run: Runner, answer: Answer) -> Contributions:
        ranked = answer.ranked
        if ranked is None or ranked.version is None:
            return []
        return await run.run("explain", self._stages.explain, answer.ask.client, ranked, answer.shown) or []

    async def _explain_full(self, run: Runner, answer: Answer) -> list[Reasons]:
        ranked, scored = answer.ranked, answer.scored
        known = np.isfinite(answer.full_scores()[answer.shown])
        if ranked is None or scored is None or scored.version is None or not known.any():
            return []
        rows = answer.shown[known]
        candidates = answer.candidates.only(rows)
        ranked = ranked.only(rows)
        seconds = run.deadline.budget()
        call = self._stages.explain_full
        found = await run.run("explain_full", call, answer.ask, candidates, ranked, scored.version, seconds)
        if not found:
            return []
        if (told := sum(map(bool, found))) < len(found):
            run.note("explain_full", "partial", f"{told} of {len(found)} pins explained within the deadline")
        reasons = iter(found)
        return [next(reasons) if is_known else {} for is_known in known]

    @staticmethod
    def _tell(run: Runner, answer: Answer, size: int) -> None:
        if len(answer.shown) < size:
            run.note("answer", "short", f"{len(answer.shown)} of {size} pins, as there are no more that may be shown")
