"""What a funnel asks of its stages, and the stages of this process. No Ray, no HTTP.

One funnel runs over all of them: `DirectStages` and `ThreadedStages` here, `RemoteStages` in serving/deploy/remote.py.
"""

import asyncio
from typing import Protocol

import numpy as np

from serving.candidates.walker import WalkerLogic
from serving.full.stage import FullLogic
from serving.lightweight.stage import LightweightLogic
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.log_odds import Reasons
from serving.request.ranked import Ranked
from serving.request.scored import Scored

Contributions = list[dict[str, float]]


class Overloaded(Exception):
    """A stage has more requests queued than it takes: the caller should come back later, not get a poorer answer."""


class Stages(Protocol):
    """The calls of one request, in their order. Whether they cross a process is not the funnel's business."""

    async def walk(self, ask: WalkAsk) -> Candidates:
        """Candidates. Raises Overloaded when the caller should be turned away."""
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

    def __init__(self, walker: WalkerLogic, lightweight: LightweightLogic, full: FullLogic):
        self._walker = walker
        self._lightweight = lightweight
        self._full = full

    async def walk(self, ask: WalkAsk) -> Candidates:
        """Candidates, in place."""
        return self._walker.walk(ask)

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

    def __init__(self, walker: WalkerLogic, lightweight: LightweightLogic, full: FullLogic):
        self._walker = walker
        self._lightweight = lightweight
        self._full = full

    async def walk(self, ask: WalkAsk) -> Candidates:
        """Candidates, from a thread."""
        return await asyncio.to_thread(self._walker.walk, ask)

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
