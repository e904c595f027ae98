"""Stages behind Serve handles: what crosses a process, and which of Serve's errors mean what.

Arrays travel by value: they are below the 4 MB that this transport takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from ray.serve.handle import DeploymentHandle

from cluster.settings.clients import WALK
from serving.candidates.query import Query
from serving.deploy.scattered import ScatteredWalk, answered
from serving.funnel.stages import Contributions, Stages
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.found import FoundPins
from serving.request.log_odds import Reasons
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from serving.request.served import ServedBundles, ServingProblem


class RemoteStages(Stages):
    """Over a deployment for each source, and two for the rankers."""

    def __init__(self, stages: Mapping[str, DeploymentHandle], parts: Sequence[str] = ()):
        """By name: `lightweight`, `full`, and the sources' own; `parts`: those of `walk`, if it is walked in parts."""
        self._sources = {name: handle.options(_by_reference=False) for name, handle in stages.items()}
        self._lightweight = self._sources.pop("lightweight")
        self._full = self._sources.pop("full")
        self._walk = ScatteredWalk({name: self._sources.pop(name) for name in parts}) if parts else None
        self.sources = frozenset([*self._sources, *([WALK] if parts else [])])  # that run somewhere

    async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
        """What one source finds, from its deployment; the query is read there again, from the same graph."""
        if source == WALK and self._walk is not None:
            return await self._walk.generate(query, budget, seconds)
        call = self._sources[source].generate
        return await answered(call.remote(query.ask, query.catalog.version, budget, seconds))

    async def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool) -> Ranked:
        """Survivors from the lightweight deployment."""
        return await answered(self._lightweight.rank.remote(ask, candidates, by_visits))

    async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
        """Probabilities and utility from the full deployment."""
        kept = ranked.survivors  # the rest would only cost its transport
        return await answered(self._full.score.remote(_light(ask), candidates.only(kept), ranked.only(kept), seconds))

    async def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> Contributions:
        """Strongest features from the lightweight deployment."""
        return await answered(self._lightweight.explain.remote(client, ranked, rows))

    async def explain_full(
        self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, version: str, seconds: float
    ) -> list[Reasons]:
        """Reasons from the full deployment."""
        return await answered(self._full.explain.remote(_light(ask), candidates, ranked, version, seconds))


def bundles_of(deployment: str, answer: ServedBundles | BaseException) -> ServedBundles:
    """What a stage said of its bundles; that it does not answer is a problem like a bundle that does not load."""
    if isinstance(answer, ServedBundles):
        return answer
    reason = f"the deployment does not answer: {type(answer).__name__}"
    return ServedBundles(problems=(ServingProblem(deployment, None, reason),), silent=(deployment,))


def _light(ask: WalkAsk) -> WalkAsk:
    """Without the lists that only sources and policy read, which would cost their transport."""
    return replace(ask, exclude=(), hidden=(), seen=())
