"""The endpoints: who may ask, what is asked, the answer, the events. The ranking itself is elsewhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from cluster.contract.ids import IdContract, shown
from cluster.control.choices import Choices
from cluster.control.forgotten import Forgotten
from cluster.control.removals import Removals
from cluster.errors import in_short
from cluster.fresh.log import FreshLog
from cluster.settings.attributes import attribute_kinds
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.store.home import control_root, logs_root
from cluster.store.pseudonyms import pseudonyms_of
from serving.funnel.funnel import Funnel
from serving.funnel.slots import SlottedFunnel
from serving.http.admission import Admission
from serving.http.answering import Answering
from serving.http.api import EventBatch, EventReceipt, Id, RecommendationRequest, RecommendationResponse
from serving.http.app import create_app
from serving.http.auth import Authorizer
from serving.http.behind import Behind
from serving.http.choices import UserChoices
from serving.http.contract import check_request, filter_of
from serving.http.event_batches import read_events, refusals
from serving.http.experiments import ExperimentDoor
from serving.http.figures import Figures
from serving.http.fresh import FreshPinsDoor
from serving.http.guard import OF_A_BODY, for_everybody, guarded, needs
from serving.http.inside import CONSOLE, Inside, Mounted
from serving.http.observer import Observer
from serving.http.questions import Questions, by_nobody
from serving.http.request_lines import RequestLines
from serving.http.responses import to_response
from serving.http.self_report import SelfReport
from serving.http.takedown import Takedown
from serving.http.users import Events, PseudonymousEvents
from serving.logs.impressions import ServingLog
from serving.request.ask import ShownPins
from serving.request.deadline import Deadline
from serving.request.served import ServedBundles

TOLD_PINS = 10
EVENT_SECONDS = 5.0
"""The event log has so long to store events; then the sender is told to send them again, which does no harm."""


UnknownPins = Callable[[Sequence[Id]], list[Id]]


class Ingress:
    """Turns HTTP requests into funnel calls. Knows nothing of Ray: tests build it from plain parts."""

    def __init__(
        self,
        project: Project,
        clients: dict[str, Client],
        funnel: Funnel | SlottedFunnel,
        events: Events,
        serving_log: ServingLog,
        schema_hash: str,
        served: Callable[[], Awaitable[ServedBundles]],
        observer: Observer | None = None,
        unknown_pins: UnknownPins | None = None,
        slots: int = 16,
        processes: int = 1,
        stages: int = 0,
        loopback: bool = False,
        mounted: Mounted | None = None,
        figures: Figures | None = None,
    ):
        """`unknown_pins` tells which pins the present graph does not have; `slots` requests are answered at a time.

        `processes` such ingresses share the calls. `stages` is how many deployments `served` asks. `loopback`: only
        this machine reaches the server. `mounted` makes the console, if there is to be one, and `figures` are what it
        shows of this process.
        """
        self._project = project
        self._clients = clients
        self._log = serving_log
        self._mounted = mounted
        self._ranks = stages == 0
        self._figures = figures or Figures()
        self._lines = RequestLines(project.telemetry.log_share)
        self._observer = observer
        self._ids = IdContract(project.ids)
        self._attributes = attribute_kinds(project.attributes)
        self._unknown_pins = unknown_pins or (lambda pins: [])
        control = control_root(project.home, project.control)
        names = pseudonyms_of(project.ids, project.logs.pseudonym_key_env, Path(logs_root(project.local_home)))
        self._events = events = PseudonymousEvents(events, names) if names.on else events
        self._choices = Choices(control)
        self._user_choices = UserChoices(self._choices, self._ids)
        self._takedown = Takedown(Removals(control), self._ids, self._unknown_pins)
        self._fresh = FreshPinsDoor(FreshLog(project))
        self._experiments = ExperimentDoor(project, clients)
        self._questions = Questions(project.serving.simulation)
        refused = (lambda why: None) if observer is None else observer.refused
        self._authorizer = Authorizer(project.access, clients, processes, refused)
        guarded_by_names = loopback and self._authorizer.keyless and not project.access.open
        self._names = project.access.hosts if guarded_by_names else None
        self._itself = SelfReport(project.home, served, serving_log, events, self._authorizer, stages)
        self._admission = Admission(slots, project.serving.queue_ms / 1e3, refused)
        self._answering = Answering(funnel, self._admission, events, self._choices, Forgotten(control))
        self._behind = Behind(funnel, serving_log, schema_hash, self._dropped, names)

    def app(self) -> FastAPI:
        """The application with all endpoints."""
        body_bytes = self._project.serving.body_bytes
        made = create_app(self._routes(), body_bytes, self._admission.check, self._lines, self._names)
        if self._mounted is not None:
            made.mount(CONSOLE, self._mounted(self._inside()))
        return made

    def _inside(self) -> Inside:
        return Inside(
            self._project,
            self._clients,
            self._answering,
            self._authorizer,
            self._itself.served,
            self._itself.logs,
            lambda: self.waiting,
            self._figures,
            self._ranks,
        )

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._admission.waiting

    def close(self) -> None:
        """From now on `/readyz` says that this process goes."""
        self._itself.close()

    def _routes(self) -> APIRouter:
        router = APIRouter(route_class=guarded(self._authorizer))
        add = router.add_api_route
        add("/", lambda: RedirectResponse("/docs"), include_in_schema=False, **for_everybody())
        self._itself.add_to(router)
        add(
            "/v1/events",
            self.events,
            methods=["POST"],
            summary="Store what users did, durably",
            **needs("events", *OF_A_BODY, 503),
        )
        add(
            "/v1/logs/flush",
            self.flush,
            methods=["POST"],
            summary="Write queued logs to Parquet now",
            **needs("admin"),
        )
        self._fresh.add_to(router)
        self._experiments.add_to(router)
        self._takedown.add_to(router)
        self._user_choices.add_to(router)
        add(
            "/v1/{client}/recommendations",
            self.recommendations,
            methods=["POST"],
            response_model=RecommendationResponse,
            summary="Recommend pins",
            **needs("recommend", *OF_A_BODY, 404, 503),
        )
        return router

    async def recommendations(
        self,
        client: str,
        body: RecommendationRequest,
        x_deadline_ms: Annotated[
            float | None, Header(gt=0, description="answer within so many milliseconds; no later than the project's")
        ] = None,
    ) -> Response:
        """Walk, rank, answer; the log is written behind the answer."""
        began = time.perf_counter()
        settings = self._client(client)
        check_request(body, self._ids)
        personal = self._answering.personal(body)
        if not personal:
            body = by_nobody(body)
        only = filter_of(body, self._attributes)
        moment = self._questions.moment(settings, body)
        request_id, seed = self._questions.identity(client, body)
        deadline = Deadline(began + self._seconds(x_deadline_ms))
        answer = await self._answering.answer(client, body, moment, seed, only, deadline)
        answer.milliseconds = milliseconds = (time.perf_counter() - began) * 1e3
        self._behind.keep(answer, request_id, body)
        if answer.remembered and body.user_id is not None:
            pins = answer.candidates.pin_ids[answer.shown].tolist()
            self._events.shown(body.user_id, ShownPins(client, answer.ask.at, tuple(pins)))
        if self._observer is not None:
            self._observer.answered(answer, milliseconds)
        self._lines.answered(answer, request_id, milliseconds)
        told = to_response(answer, request_id, body.explain, milliseconds, personal)
        return Response(told.model_dump_json(exclude_none=True), media_type="application/json")  # checked already

    async def events(self, body: EventBatch, request: Request) -> EventReceipt:
        """Acknowledged events are on disk; refused ones are named with the reason, and may be sent again mended."""
        events, refused = read_events(body.events, self._choices.may_store, request.state.caller.may_name)
        try:
            storing = self._events.append([event for _, event in events])
            receipt = await asyncio.wait_for(storing, EVENT_SECONDS)
        except Exception as error:
            why = in_short(error) if isinstance(error, OSError) else type(error).__name__
            detail = f"events not stored, send them again: {why}"
            self._count_events("not_stored", len(events))
            raise HTTPException(503, detail, {"Retry-After": "1"}) from error
        refused = sorted([*refused, *refusals(receipt, events)], key=lambda each: each.row)
        kept = {row for row, _ in events} - {each.row for each in refused}
        pins = dict.fromkeys(event["pin_id"] for row, event in events if row in kept)
        self._count_events("stored", receipt.accepted)
        self._count_events("refused", len(refused))
        return EventReceipt(
            accepted=receipt.accepted, refused=refused, not_in_graph=self._unknown_pins(tuple(pins))[:TOLD_PINS]
        )

    async def flush(self) -> dict[str, int]:
        """For scripts that read the logs right after traffic."""
        return {"requests": await self._behind.flush(), "events": await self._events.flush()}

    def _dropped(self, client: str) -> None:
        if self._observer is not None:
            self._observer.log_dropped(client)

    def _count_events(self, outcome: str, count: int) -> None:
        if self._observer is not None and count:
            self._observer.events(outcome, count)

    def _client(self, name: str) -> Client:
        if name not in self._clients:
            raise HTTPException(404, f"unknown client {shown(name)}; clients: {sorted(self._clients)}")
        return self._clients[name]

    def _seconds(self, asked_ms: float | None) -> float:
        """The time of a request: what its sender allows, and never more than the project does."""
        most = self._project.serving.deadline_ms
        return min(most, most if asked_ms is None else asked_ms) / 1e3
