"""What a funnel asks of its stages, and the stages of this process. No Ray, no HTTP.

One funnel runs over all of them: `DirectStages` and `ThreadedStages` here, `RemoteStages` in serving/deploy/remote.py.
"""

import asyncio
from functools import partial
from typing import Protocol

import numpy as np

from serving.candidates.lanes import Lane
from serving.candidates.query import Query
from serving.candidates.stage import CandidatesLogic
from serving.full.stage import FullLogic
from serving.lightweight.stage import LightweightLogic
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.deadline import Deadline
from serving.request.found import FoundPins
from serving.request.log_odds import Reasons
from serving.request.ranked import Ranked
from serving.request.scored import Scored

Contributions = list[dict[str, float]]


class Overloaded(Exception):
    """A stage has more requests queued than it takes: the caller should come back later, not get a poorer answer."""


class Stages(Protocol):
    """The calls of one request, in their order. Whether they cross a process is not the funnel's business."""

    async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
        """What one source finds in `seconds`. Raises Overloaded when it has more to do than it takes."""
        ...

    async def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool) -> Ranked:
        """Features and lightweight scores of all candidates, and the survivors."""
        ...

    async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
        """The full ranker's scores of as many survivors, best first, as `seconds` allow."""
        ...

    async def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> Contributions:
        """The strongest features of the candidates in `rows`."""
        ...

    async def explain_full(
        self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, version: str, seconds: float
    ) -> list[Reasons]:
        """Why the full ranker, if still of `version`, scores the survivors so; of as many as `seconds` allow."""
        ...


class DirectStages(Stages):
    """Called in place, never waiting: for callers without an event loop to keep free (notebooks, backfill, tests)."""

    def __init__(self, sources: CandidatesLogic, lightweight: LightweightLogic, full: FullLogic):
        self._sources = sources
        self._lightweight = lightweight
        self._full = full

    async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
        """What one source finds, in place."""
        return self._sources.generate(source, query, budget, Deadline.after(seconds))

    async def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool) -> Ranked:
        """Survivors, in place."""
        return self._lightweight.rank(ask, candidates, by_visits)

    async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
        """Probabilities and utility, in place."""
        return self._full.score(ask, candidates, ranked, seconds)

    async def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> Contributions:
        """Strongest features, in place."""
        return self._lightweight.explain(client, ranked, rows)

    async def explain_full(
        self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, version: str, seconds: float
    ) -> list[Reasons]:
        """The full ranker's reasons, in place."""
        return self._full.explain(ask, candidates, ranked, version, seconds)


class ThreadedStages(Stages):
    """In this process, each call in a thread, so that a server's event loop stays free."""

    def __init__(self, sources: CandidatesLogic, lightweight: LightweightLogic, full: FullLogic):
        self._sources = sources
        self._lightweight = lightweight
        self._full = full
        self._lanes: dict[str, Lane] = {}

    async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
        """What one source finds, from a thread of its own kind: a source that hangs holds up no other."""
        lane = self._lanes.get(source)
        if lane is None:
            lane = self._lanes[source] = Lane(source)
        deadline = Deadline.after(seconds)
        return await lane.call(partial(self._sources.generate, source, query, budget, deadline))

    async def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool) -> Ranked:
        """Survivors, from a thread."""
        return await asyncio.to_thread(self._lightweight.rank, ask, candidates, by_visits)

    async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
        """Probabilities and utility, from a thread."""
        return await asyncio.to_thread(self._full.score, ask, candidates, ranked, seconds)

    async def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> Contributions:
        """Strongest features, from a thread."""
        return await asyncio.to_thread(self._lightweight.explain, client, ranked, rows)

    async def explain_full(
        self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, version: str, seconds: float
    ) -> list[Reasons]:
        """The full ranker's reasons, from a thread."""
        return await asyncio.to_thread(self._full.explain, ask, candidates, ranked, version, seconds)
