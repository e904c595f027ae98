"""What a funnel asks of its stages, and the stages of this process. No Ray, no HTTP.

One funnel runs over all of them: `DirectStages` and `InPlaceStages` here, `RemoteStages` in serving/deploy/remote.py.
"""

import threading
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

    def in_place(self, source: str, query: Query) -> bool:
        """Whether `generate` computes in the calling thread, where nothing else of the request goes on meanwhile."""
        return False

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

    def in_place(self, source: str, query: Query) -> bool:
        """Always."""
        return True

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


class InPlaceStages(DirectStages):
    """In this process, for a server: what computes for milliseconds in the calling thread, other sources in lanes.

    A hop to another thread costs more than it looks: its caches are cold, and it waits for the interpreter.
    """

    def __init__(self, sources: CandidatesLogic, lightweight: LightweightLogic, full: FullLogic):
        super().__init__(sources, lightweight, full)
        self._lanes: dict[str, Lane] = {}
        self._making = threading.Lock()

    def in_place(self, source: str, query: Query) -> bool:
        """As the source says of itself."""
        return self._sources.in_place(source, query)

    async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
        """What one source finds; from a thread of its own kind, if it may hang, so that it holds up no other."""
        if self.in_place(source, query):
            return await super().generate(source, query, budget, seconds)
        work = partial(self._sources.generate, source, query, budget, Deadline.after(seconds))
        return await self._lane(source).call(work)

    def _lane(self, source: str) -> Lane:
        with self._making:
            if source not in self._lanes:
                self._lanes[source] = Lane(source)
            return self._lanes[source]
