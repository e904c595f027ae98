"""The HTTP face: auth, validation, events, answers. FastAPI over the funnel; the ranking itself is elsewhere."""

import asyncio
import hashlib
import hmac
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, FastAPI, Header, HTTPException
from fastapi.responses import RedirectResponse

from cluster.errors import PinfunnelError
from cluster.settings.clients import Client
from cluster.settings.project import Project
from serving.funnel.funnel import Funnel, NoCandidates
from serving.funnel.stages import Overloaded
from serving.http.api import EventBatch, EventReceipt, RecommendationRequest, RecommendationResponse
from serving.http.responses import to_response
from serving.logs.events import Receipt
from serving.logs.impressions import ServingLog, log_row
from serving.request.answer import Answer
from serving.request.ask import UserState, WalkAsk


class Events(Protocol):
    """The event log, wherever it runs."""

    async def append(self, events: list[dict[str, Any]]) -> Receipt:
        """Make events durable, then say what was taken."""
        ...

    async def state(self, user_id: int | str | None) -> UserState:
        """What the user did lately, and what the user hid."""
        ...

    async def flush(self) -> int:
        """Write what is durable into Parquet; the number of events."""
        ...


class Observer(Protocol):
    """Told of every answer, for metrics."""

    def answered(self, answer: Answer, milliseconds: float) -> None:
        """An answer left, so long after its request came."""
        ...

    def log_dropped(self, client: str) -> None:
        """The log's queue was full: one answer is not in it."""
        ...


class Ingress:
    """Turns HTTP requests into funnel calls. Knows nothing of Ray: tests build it from plain parts."""

    def __init__(
        self,
        project: Project,
        clients: dict[str, Client],
        funnel: Funnel,
        events: Events,
        serving_log: ServingLog,
        schema_hash: str,
        versions: Callable[[], Awaitable[dict[str, str | None]]],
        observer: Observer | None = None,
    ):
        self._project = project
        self._clients = clients
        self._funnel = funnel
        self._events = events
        self._log = serving_log
        self._schema_hash = schema_hash
        self._versions = versions
        self._observer = observer
        self._teaching: set[asyncio.Task[None]] = set()
        self._keys = {c.name: os.environ.get(c.api_key_env, "") if c.api_key_env else "" for c in clients.values()}

    def routes(self) -> APIRouter:
        """The endpoints."""
        router = APIRouter()
        router.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
        router.add_api_route("/healthz", self.healthz, methods=["GET"], summary="Whether the funnel can answer")
        router.add_api_route("/v1/models", self.models, methods=["GET"], summary="Bundle versions that serve now")
        router.add_api_route("/v1/events", self.events, methods=["POST"], summary="Store what users did, durably")
        router.add_api_route("/v1/logs/flush", self.flush, methods=["POST"], summary="Write queued logs to Parquet now")
        router.add_api_route(
            "/v1/{client}/recommendations",
            self.recommendations,
            methods=["POST"],
            response_model=RecommendationResponse,
            response_model_exclude_none=True,
            summary="Recommend pins",
        )
        return router

    async def recommendations(
        self, client: str, body: RecommendationRequest, x_api_key: Annotated[str, Header()] = ""
    ) -> RecommendationResponse:
        """Walk, rank, answer; the log is written behind the answer."""
        began = time.perf_counter()
        settings = self._client(client, x_api_key)
        moment = self._moment(body.at)
        if settings.query.source == "request" and not body.query_pins:
            raise HTTPException(422, f"client '{client}' walks from the request's query_pins: send at least one")
        request_id, seed = self._identity(client, body)
        state = await self._state(body.user_id)
        ask = WalkAsk(
            client=client,
            user_id=body.user_id,
            query_pins=tuple((q.pin_id, q.weight) for q in body.query_pins),
            exclude=tuple(body.exclude),
            locale=body.locale,
            at=int(moment.timestamp() * 1e6),
            seed=seed,
            recents=state.recents,
            hidden=state.hidden,
        )
        try:
            answer = await self._funnel.recommend(
                ask,
                by_visits=body.order == "visit_count",
                limit=body.limit,
                explain=body.explain,
                spent=time.perf_counter() - began,
            )
        except Overloaded as error:
            raise HTTPException(429, str(error), {"Retry-After": "1"}) from error
        except PinfunnelError as error:
            raise HTTPException(503, str(error)) from error
        except NoCandidates as error:
            raise HTTPException(503, f"no candidates: {error}") from error
        except Exception as error:  # a funnel without a deadline lets faults through
            raise HTTPException(503, f"no candidates: {type(error).__name__}: {str(error)[:300]}") from error
        self._keep(answer, request_id, body)
        milliseconds = (time.perf_counter() - began) * 1e3
        if self._observer is not None:
            self._observer.answered(answer, milliseconds)
        return to_response(answer, request_id, body.explain, self._project.actions, milliseconds)

    def _keep(self, answer: Answer, request_id: str, body: RecommendationRequest) -> None:
        """Log an answer behind the request; one that the teacher wants is logged once it is done with it."""

        def write() -> None:
            row = log_row(answer, request_id, self._schema_hash, body.experiment, body.locale)
            if not self._log.offer(row) and self._observer is not None:
                self._observer.log_dropped(answer.ask.client)

        async def teach_first() -> None:
            try:
                await self._funnel.teach(answer)
            finally:  # also when the server stops meanwhile
                write()

        if not self._funnel.teacher.wants(answer):
            write()
            return
        task = asyncio.create_task(teach_first())
        self._teaching.add(task)  # asyncio holds tasks weakly
        task.add_done_callback(self._teaching.discard)

    async def events(self, body: EventBatch, x_api_key: Annotated[str, Header()] = "") -> EventReceipt:
        """Acknowledged events are on disk; refused ones are named with the reason, and may be sent again mended."""
        keys = [key for key in self._keys.values() if key]
        if keys and not any(hmac.compare_digest(key, x_api_key) for key in keys):
            raise HTTPException(401, "x-api-key: send the key of any client")
        try:
            receipt = await self._events.append([event.model_dump() for event in body.events])
        except Exception as error:
            raise HTTPException(503, f"events not stored, send them again: {type(error).__name__}") from error
        return EventReceipt(accepted=receipt.accepted, refused=receipt.refused)

    async def models(self) -> dict[str, str | None]:
        """Version of every bundle that a replica has loaded."""
        return await self._versions()

    async def healthz(self) -> dict[str, Any]:
        """200 once a graph is served; the counters say whether the log keeps up."""
        versions = await self._versions()
        return {
            "status": "ok",
            "versions": versions,
            "serving_log": self._log.health(),
        }

    async def flush(self) -> dict[str, int]:
        """For scripts that read the logs right after traffic."""
        await asyncio.gather(*self._teaching, return_exceptions=True)
        served = await asyncio.to_thread(self._log.flush)
        return {"requests": served, "events": await self._events.flush()}

    def _client(self, name: str, key: str) -> Client:
        if name not in self._clients:
            raise HTTPException(404, f"unknown client '{name}'; clients: {sorted(self._clients)}")
        wanted = self._keys[name]
        if wanted and not hmac.compare_digest(wanted, key):
            raise HTTPException(401, f"x-api-key: not the key of client '{name}'")
        return self._clients[name]

    def _identity(self, client: str, body: RecommendationRequest) -> tuple[str, int]:
        """The request's id and the seed of its walk: at random.

        In a simulation both follow from the request, so that a run can be repeated; the seed only from what a walk
        depends on, so that the arms of an experiment walk alike.
        """
        if body.at is None or not self._project.serving.simulation:
            request_id = uuid.uuid4().hex
            return request_id, int(request_id[:15], 16)
        walk = body.model_dump_json(include={"user_id", "query_pins", "at"})
        return _digest(client, body.model_dump_json(), 16), int(_digest(client, walk, 7), 16)

    def _moment(self, at: datetime | None) -> datetime:
        if at is None:
            return datetime.now(UTC)
        if not self._project.serving.simulation:
            raise HTTPException(422, "at: only served with serving.simulation: true in pinfunnel.yaml")
        if at.tzinfo is None:
            raise HTTPException(422, "at: has no time zone; send UTC, like 2026-01-31T12:00:00Z")
        return at

    async def _state(self, user_id: int | str | None) -> UserState:
        """The user's last events, or none when the event log does not answer: a stale walk beats no answer."""
        if user_id is None:
            return UserState()
        try:
            return await asyncio.wait_for(self._events.state(user_id), self._project.serving.deadline_ms / 4e3)
        except Exception:
            return UserState()


def _digest(client: str, told: str, size: int) -> str:
    return hashlib.blake2b(f"{client} {told}".encode(), digest_size=size).hexdigest()


def create_app(title: str = "pinfunnel") -> FastAPI:
    """An empty FastAPI app; the replica adds the routes once it has its parts."""
    return FastAPI(title=title, docs_url="/docs", description="Walk, rank and answer; log everything; learn from it.")
