"""Stages behind Serve handles: what crosses a process, and which of Serve's errors mean what.

Arrays travel by value: they are below the 4 MB that this transport takes.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from serving.candidates.query import Query
from serving.funnel.stages import Contributions, Overloaded, Stages
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.found import FoundPins
from serving.request.log_odds import Reasons
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from serving.request.served import ServedBundles, ServingProblem

T = TypeVar("T")


class RemoteStages(Stages):
    """Over a deployment for each source, and two for the rankers."""

    def __init__(self, stages: Mapping[str, DeploymentHandle]):
        """By name: `lightweight`, `full`, and the sources' own."""
        self._sources = {name: handle.options(_by_reference=False) for name, handle in stages.items()}
        self._lightweight = self._sources.pop("lightweight")
        self._full = self._sources.pop("full")

    async def generate(self, source: str, query: Query, budget: int, seconds: float) -> FoundPins:
        """What one source finds, from its deployment; the query is read there again, from the same graph."""
        call = self._sources[source].generate
        return await _answer(call.remote(query.ask, query.catalog.version, budget, seconds))

    async def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool) -> Ranked:
        """Survivors from the lightweight deployment."""
        return await _answer(self._lightweight.rank.remote(ask, candidates, by_visits))

    async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
        """Probabilities and utility from the full deployment."""
        kept = ranked.survivors  # the rest would only cost its transport
        return await _answer(self._full.score.remote(_light(ask), candidates.only(kept), ranked.only(kept), seconds))

    async def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> Contributions:
        """Strongest features from the lightweight deployment."""
        return await _answer(self._lightweight.explain.remote(client, ranked, rows))

    async def explain_full(
        self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, version: str, seconds: float
    ) -> list[Reasons]:
        """Reasons from the full deployment."""
        return await _answer(self._full.explain.remote(_light(ask), candidates, ranked, version, seconds))


def bundles_of(deployment: str, answer: ServedBundles | BaseException) -> ServedBundles:
    """What a stage said of its bundles; that it does not answer is a problem like a bundle that does not load."""
    if isinstance(answer, ServedBundles):
        return answer
    reason = f"the deployment does not answer: {type(answer).__name__}"
    return ServedBundles(problems=(ServingProblem(deployment, None, reason),), silent=(deployment,))


def _light(ask: WalkAsk) -> WalkAsk:
    """Without the lists that only sources and policy read, which would cost their transport."""
    return replace(ask, exclude=(), hidden=(), seen=())


async def _answer(response: Awaitable[T]) -> T:
    try:
        return await response
    except BackPressureError as error:
        raise Overloaded("too many requests at once; try again") from error
