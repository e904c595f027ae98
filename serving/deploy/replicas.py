"""Thin Ray Serve shells around the stage logic, named after their stages. No decision is made here.

Each replica maps the bundles its stage needs and watches their pointers: a new version is loaded and warmed aside, then
one reference is swapped (a slow `reconfigure` would block traffic).
"""

import asyncio
import logging
import threading
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from cluster.settings.clients import Client
from cluster.settings.project import Project
from serving.deploy.metrics import Metrics
from serving.deploy.process import Process
from serving.funnel.funnel import Funnel
from serving.funnel.stages import Stages
from serving.http.ingress import Ingress, create_app
from serving.logs.events import EventLog, Receipt
from serving.request.ask import Recents, WalkAsk
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from serving.request.walked import Walked

log = logging.getLogger("ray.serve")

LIMITS = {
    "max_queued_requests": 256,
    "graceful_shutdown_timeout_s": 10,
    "logging_config": {"enable_access_log": False},  # metrics count requests; a line each would cost a millisecond
}
STAGE = {"max_ongoing_requests": 16, **LIMITS}
FRONT = {"max_ongoing_requests": 64, **LIMITS}


HANDOVER = 15.0
"""Seconds that a new events replica waits for the one before it to let go of the log."""


class WalkerReplica:
    """Candidates by random walk."""

    def __init__(self, project: Project, clients: dict[str, Client]):
        self._process = Process(project, clients)
        self._logic = self._process.walker
        self._watcher = self._process.watcher("walker").start()
        _ = self._logic.version  # refuse to start without a graph, with an error that says so

    def walk(self, ask: WalkAsk) -> Walked:
        """One request's candidates."""
        return self._logic.walk(ask)

    def versions(self) -> dict[str, str | None]:
        """What this replica serves with."""
        return {"graph": self._logic.version}


class LightweightReplica:
    """Features and the client's GBDT."""

    def __init__(self, project: Project, clients: dict[str, Client]):
        process = Process(project, clients)
        self._logic = process.lightweight
        self._watcher = process.watcher("lightweight").start()

    def rank(self, ask: WalkAsk, walked: Walked, by_visits: bool) -> Ranked:
        """One request's survivors."""
        return self._logic.rank(ask, walked, by_visits)

    def explain(self, client: str, ranked: Ranked, rows: np.ndarray) -> list[dict[str, float]]:
        """The strongest features of some candidates."""
        return self._logic.explain(client, ranked, rows)

    def versions(self) -> dict[str, str | None]:
        """What this replica serves with."""
        return {f"lightweight/{client}": version for client, version in self._logic.versions().items()}


class FullReplica:
    """The multi-task network; requests that arrive together share a forward pass."""

    def __init__(self, project: Project, clients: dict[str, Client]):
        process = Process(project, clients)
        self._logic = process.full
        self._watcher = process.watcher("full").start()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.001)
    async def _score(self, requests: list[tuple[WalkAsk, Walked, Ranked, float]]) -> list[Scored]:
        until = [request[3] for request in requests]
        return await asyncio.to_thread(self._logic.score_many, [request[:3] for request in requests], until)

    async def score(self, ask: WalkAsk, walked: Walked, ranked: Ranked, seconds: float) -> Scored:
        """One request's probabilities and utility, of as many survivors as `seconds` from now allow."""
        return await self._score((ask, walked, ranked, self._logic.pace.clock() + seconds))

    def versions(self) -> dict[str, str | None]:
        """What this replica serves with."""
        return {"full": self._logic.version}


class EventsReplica:
    """The single writer of the durable event log, and what it knows of each user's last actions."""

    def __init__(self, project: Project, clients: dict[str, Client]):
        self._events: EventLog = Process(project, clients).event_log(patience=HANDOVER)
        self._stop = threading.Event()
        self._seconds = project.serving.log_flush_seconds
        threading.Thread(target=self._run, name="event-log", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._events.flush(patient=True)
            except Exception:
                log.exception("events could not be turned into Parquet; they stay safe in the write-ahead file")

    def append(self, events: list[dict]) -> Receipt:
        """Store events; returns when they are on disk."""
        return self._events.append(events)

    def recent(self, user_id: int | str | None) -> Recents:
        """The user's last events."""
        return self._events.recent(user_id)

    def flush(self) -> int:
        """Turn stored events into Parquet now."""
        return self._events.flush()

    def __del__(self) -> None:
        self._stop.set()
        self._events.close()


class _RemoteEvents:
    """The event log behind a handle."""

    def __init__(self, handle: DeploymentHandle):
        self._handle = handle

    async def append(self, events: list[dict[str, Any]]) -> Receipt:
        return await self._handle.append.remote(events)

    async def recent(self, user_id: int | str | None) -> Recents:
        return await self._handle.recent.remote(user_id)

    async def flush(self) -> int:
        return await self._handle.flush.remote()


def remote_stages(walker: DeploymentHandle, lightweight: DeploymentHandle, full: DeploymentHandle) -> Stages:
    """Stages behind handles. Arrays travel by value: they are below the 4 MB that this transport takes."""
    walk, rank, score = (handle.options(_by_reference=False) for handle in (walker, lightweight, full))

    async def call_walk(ask: WalkAsk) -> Walked:
        return await walk.walk.remote(ask)

    async def call_rank(ask: WalkAsk, walked: Walked, by_visits: bool) -> Ranked:
        return await rank.rank.remote(ask, walked, by_visits)

    async def call_score(ask: WalkAsk, walked: Walked, ranked: Ranked, seconds: float) -> Scored:
        kept = ranked.survivors  # the rest would only cost its transport
        return await score.score.remote(replace(ask, exclude=()), walked.only(kept), ranked.only(kept), seconds)

    async def call_explain(client: str, ranked: Ranked, rows: np.ndarray) -> list[dict[str, float]]:
        return await rank.explain.remote(client, ranked, rows)

    return Stages(call_walk, call_rank, call_score, call_explain)


class IngressReplica:
    """HTTP in front of the funnel; with no stage handles the stages run in this replica (the co-located shape)."""

    def __init__(
        self,
        project: Project,
        clients: dict[str, Client],
        events: DeploymentHandle,
        stages: dict[str, DeploymentHandle] | None = None,
    ):
        process = Process(project, clients)
        self._serving_log = process.serving_log()
        if stages is None:
            self._watcher = process.watcher().start()
            funnel = process.threaded_funnel
        else:
            remote = remote_stages(stages["walker"], stages["lightweight"], stages["full"])
            funnel = Funnel(remote, clients, project.serving.deadline_ms, process.teacher)

        async def versions() -> dict[str, str | None]:
            if stages is None:
                return dict(process.versions())
            answers = await asyncio.gather(*(handle.versions.remote() for handle in stages.values()))
            return {kind: version for answer in answers for kind, version in answer.items()}

        self._ingress = Ingress(
            project,
            clients,
            funnel,
            _RemoteEvents(events.options(_by_reference=False)),
            self._serving_log,
            process.features.schema_hash,
            versions,
            Metrics(),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        app = create_app()
        app.include_router(self._ingress.routes())
        return app

    def __del__(self) -> None:
        self._serving_log.close()


WalkerDeployment: Any = serve.deployment(name="walker", **STAGE)(WalkerReplica)
LightweightDeployment: Any = serve.deployment(name="lightweight", **STAGE)(LightweightReplica)
FullDeployment: Any = serve.deployment(name="full", **STAGE)(FullReplica)
EventsDeployment: Any = serve.deployment(name="events", num_replicas=1, **FRONT)(EventsReplica)
IngressDeployment: Any = serve.deployment(name="ingress", **FRONT)(serve.ingress()(IngressReplica))
