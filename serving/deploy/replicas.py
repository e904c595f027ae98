"""Thin Ray Serve shells around the stage logic, named after their stages. No decision is made here.

Each replica maps the bundles its stage needs and watches their pointers: a new version is loaded and warmed aside, then
one reference is swapped (a slow `reconfigure` would block traffic).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from cluster import kinds
from cluster.settings.clients import Client, SourceSettings
from cluster.settings.project import Project
from serving.candidates.walk_part import WalkPart, part_names
from serving.deploy.events_replica import EventsReplica
from serving.deploy.metrics import LogMetrics, Metrics, TurnMetrics
from serving.deploy.process import Process
from serving.deploy.remote import RemoteStages, bundles_of
from serving.deploy.remote_events import RemoteEvents
from serving.deploy.remote_writer import RemoteWriter
from serving.deploy.replica import Replica, one_thread_a_request
from serving.deploy.replica_log import StageLog
from serving.deploy.tracing import OneDecision, TracedMetrics, tracing_on
from serving.funnel.funnel import Funnel
from serving.funnel.slots import SlottedFunnel, SlotThreads
from serving.http.figures import Both, Figures
from serving.http.inside import Inside
from serving.http.routes import Ingress
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.deadline import Deadline
from serving.request.found import FoundPins
from serving.request.log_odds import Reasons
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from serving.request.served import ServedBundles

LIMITS = {
    "max_queued_requests": 256,
    "graceful_shutdown_timeout_s": 10,
    "health_check_period_s": 2,  # one that died is missed after so long, not after 10 s
    "health_check_timeout_s": 5,  # three in a row, and one that hangs is replaced: 20 s, not 100
    # metrics count requests; a line each would cost a millisecond, so there is a sample (`telemetry.log_share`)
    "logging_config": {"enable_access_log": False, "encoding": "JSON"},
}
STAGE_SECONDS = 2.0
"""A stage has so long to say what it serves with; one that hangs must not hang `/readyz`."""
NO_PART: tuple[int, ...] = ()
"""Of a graph in parts such a process looks a few rows up, and walks none."""
NEW_FIRST = {"max_surge_percent": 100}
"""A replica is stopped once its successor runs, so that none is missing. Not of `events`: its log has one writer."""
STAGE = {"max_ongoing_requests": 16, **LIMITS, **NEW_FIRST}
FRONT = {"max_ongoing_requests": 1024, **LIMITS}  # an ingress queues and refuses by itself: serving/http/admission.py


class SourceReplica(Replica):
    """One source of candidates, of all clients that have it; or the walk over one part of the graph."""

    def __init__(self, project: Project, clients: dict[str, Client], source: str, part: int | None = None):
        super().__init__(project, clients, None if part is None else (part,), partial(with_source, source, part))
        self._source = source
        self._log = StageLog(source, project.telemetry.log_share)
        self._logic = self._process.sources
        self.watch("sources")
        self._watcher.require(kinds.GRAPH)

    def generate(self, ask: WalkAsk, version: str, budget: int, seconds: float) -> FoundPins:
        """What the source finds for one request in terms of the graph `version`."""
        deadline = Deadline.after(seconds)
        with self._log.of(ask):
            return self._logic.generate(self._source, self._logic.query(ask, version), budget, deadline)


def with_source(name: str, part: int | None, client: Client) -> Client:
    """A client with one of its sources alone; with none where it does not have that."""
    mine = {name: source_settings(client.sources[name], part)} if name in client.sources else {}
    return client.model_copy(update={"sources": mine})


def source_settings(source: SourceSettings, part: int | None) -> SourceSettings:
    """A source's settings, or those of a part of the walk."""
    if part is None:
        return source
    return source.model_copy(update={"use": f"{WalkPart.__module__}:{WalkPart.__name__}", "settings": {"part": part}})


class LightweightReplica(Replica):
    """Features and the client's GBDT."""

    def __init__(self, project: Project, clients: dict[str, Client]):
        super().__init__(project, clients, NO_PART)
        self._log = StageLog("lightweight", project.telemetry.log_share)
        self._logic = self._process.lightweight
        self.watch("graph", "lightweight")
        self.tell_features()

    def rank(self, ask: WalkAsk, candidates: Candidates, by_visits: bool) -> Ranked:
        """One request's survivors."""
        with self._log.of(ask):
            return self._logic.rank(ask, candidates, by_visits)

    def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> list[dict[str, float]]:
        """The strongest features of some candidates."""
        return self._logic.explain(client, ranked, rows)


class FullReplica(Replica):
    """The multi-task network; requests that arrive together share a forward pass."""

    def __init__(self, project: Project, clients: dict[str, Client]):
        super().__init__(project, clients, NO_PART)
        one_thread_a_request()
        self._log = StageLog("full", project.telemetry.log_share)
        self._logic = self._process.full
        self.watch("graph", "full")

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.001)
    async def _score(self, requests: list[tuple[WalkAsk, Candidates, Ranked, float]]) -> list[Scored]:
        until = [request[3] for request in requests]
        return await asyncio.to_thread(self._logic.score_many, [request[:3] for request in requests], until)

    async def score(self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, seconds: float) -> Scored:
        """One request's probabilities and utility, of as many survivors as `seconds` from now allow."""
        with self._log.of(ask):
            return await self._score((ask, candidates, ranked, self._logic.pace.clock() + seconds))

    async def explain(
        self, ask: WalkAsk, candidates: Candidates, ranked: Ranked, version: str, seconds: float
    ) -> list[Reasons]:
        """Why the survivors have the probabilities that `version` gave them."""
        return await asyncio.to_thread(self._logic.explain, ask, candidates, ranked, version, seconds)


class IngressReplica(Replica):
    """HTTP in front of the funnel; with no stage handles the stages run in this replica (the co-located shape)."""

    begins_traces = True

    def __init__(
        self,
        project: Project,
        clients: dict[str, Client],
        events: list[DeploymentHandle],
        stages: dict[str, DeploymentHandle] | None = None,
        slots: int = 2,
        processes: int = 1,
        loopback: bool = False,
        console: Callable[[Process, Inside], ASGIApp] | None = None,
    ):
        """`events` are the event log's writers; `slots` requests are answered at a time, in each of `processes`.

        `loopback`: only this machine reaches the server. `console` makes what is mounted beside the API.
        """
        super().__init__(project, clients, None if stages is None else NO_PART)
        serving_log = self._process.serving_log()
        self._closing.callback(serving_log.close)
        metrics = TracedMetrics(clients) if tracing_on() else Metrics(clients)
        self._pulse.add(metrics.export)
        self._pulse.add(LogMetrics({"serving": serving_log.backlog}).look)
        self._stages = stages or {}
        figures = Figures()
        told = metrics if console is None else Both(metrics, figures)
        funnel: Funnel | SlottedFunnel
        if stages is None:
            one_thread_a_request()
            self.watch()
            self.tell_features()
            threads = SlotThreads(slots)
            self._closing.callback(threads.close)
            funnel = SlottedFunnel(self._process.served_funnel(observer=told), threads)
        else:
            parts = part_names(list(clients.values()), project.graph.shards)
            remote = RemoteStages(stages, parts)
            self.watch("mix", elsewhere=remote.sources)
            funnel = self._process.served_funnel(remote, told)
        self._watcher.require(kinds.GRAPH)
        self._ingress = Ingress(
            project,
            clients,
            funnel,
            self._remote_events(events),
            serving_log,
            self._process.features.schema_hash,
            self.served,
            told,
            self._process.catalogs.unknown_pins,
            slots,
            processes,
            len(self._stages),
            loopback,
            None if console is None else partial(console, self._process),
            figures,
        )
        self._pulse.add(TurnMetrics(lambda: self._ingress.waiting).look)
        self._closing.callback(self._ingress.close)

    def _remote_events(self, handles: list[DeploymentHandle]) -> RemoteEvents:
        shards = self._process.shards
        writers = [
            RemoteWriter(handle, self._process.state_reader(shard))
            for handle, shard in zip(handles, shards, strict=True)
        ]
        before = self._process.sink_before_the_log()
        if before is not None:
            self._closing.callback(before.close)
        return RemoteEvents(self._process.event_contract, writers, before, self._process.redis_reader())

    async def served(self) -> ServedBundles:
        """What this application serves with: asked of every stage, and known here."""
        names = list(self._stages)
        calls = (asyncio.wait_for(self._stages[name].bundles.remote(), STAGE_SECONDS) for name in names)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        stages = (bundles_of(name, answer) for name, answer in zip(names, answers, strict=True))
        return ServedBundles.merged([*stages, self.bundles()])

    async def flush(self) -> dict[str, int]:
        """Write what waits to be logged, in this process and in the event log, to Parquet."""
        return await self._ingress.flush()

    def __serve_build_asgi_app__(self) -> FastAPI:
        app = self._ingress.app()
        if tracing_on():
            app.add_middleware(OneDecision)
        return app


SourceDeployment: Any = serve.deployment(name="walk", **STAGE)(SourceReplica)
LightweightDeployment: Any = serve.deployment(name="lightweight", **STAGE)(LightweightReplica)
FullDeployment: Any = serve.deployment(name="full", **STAGE)(FullReplica)
EventsDeployment: Any = serve.deployment(name="events", num_replicas=1, **FRONT)(EventsReplica)
IngressDeployment: Any = serve.deployment(name="ingress", **FRONT, **NEW_FIRST)(serve.ingress()(IngressReplica))
