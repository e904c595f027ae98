"""The pages of the console but those of models: reads what is asked, and has it drawn."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from fastapi import HTTPException as Refusal
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from apps.web.asking import Asked, FunnelDesk, WrongField
from apps.web.drawing import Templates
from apps.web.health import health_page
from apps.web.logs import find_request, newest_requests
from apps.web.pins import PinCards
from apps.web.ribbon import ribbon
from apps.web.session import COOKIE, SECONDS
from cluster.errors import BundleError
from serving.deploy.process import Process
from serving.http.inside import CONSOLE, Inside

NO_GRAPH = "No graph is published yet: run `pinfunnel build-graph`, and this page shows your pins"


class Pages:
    """Endpoints."""

    def __init__(self, templates: Templates, inside: Inside, process: Process, desk: FunnelDesk):
        self._templates = templates
        self._inside = inside
        self._process = process
        self._desk = desk
        self.sign_in: Callable[[str], str] = lambda key: ""

    async def front(self, request: Request) -> Response:
        """The funnel is what one comes for."""
        return RedirectResponse(f"{CONSOLE}/funnel", 303)

    async def login(self, request: Request) -> Response:
        """A form for a key; with one, a session. The key is in the body alone, and never in an address."""
        if request.method == "GET":
            if self._inside.authorizer.open:
                return RedirectResponse(f"{CONSOLE}/funnel", 303)
            return self._templates.page(request, "login.html", {"fault": ""})
        key = (await form_of(request)).get("key", "").strip()
        try:
            session = self.sign_in(key)
        except Refusal as error:
            fault = {429: "Too many wrong keys: wait a few seconds.", 403: "This key lacks the scope admin."}
            told = fault.get(error.status_code, "No such key, or it has ended.")
            return self._templates.page(request, "login.html", {"fault": told}, error.status_code)
        answer = RedirectResponse(f"{CONSOLE}/funnel", 303)
        secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
        answer.set_cookie(
            COOKIE, session, max_age=SECONDS, path=CONSOLE, secure=secure, httponly=True, samesite="strict"
        )
        return answer

    async def logout(self, request: Request) -> Response:
        """The browser forgets its session."""
        answer = RedirectResponse(f"{CONSOLE}/login", 303)
        answer.delete_cookie(COOKIE, path=CONSOLE, httponly=True, samesite="strict")
        return answer

    async def funnel(self, request: Request) -> Response:
        """One request through all stages."""
        form = {name: value for name, value in request.query_params.items() if value.strip()}
        values: dict[str, Any] = {
            "form": {"client": "", "user": "", "pin": "", **form},
            "clients": list(self._inside.clients),
            "page": None,
            "users": (),
            "fault": "",
            "ribbon": None,
        }
        try:
            values["users"] = self._desk.users()
            named = "user" in form or "pin" in form
            asked = self._desk.read(form) if named else self._first(form.get("client"))
            page = await self._desk.look(asked)
            values |= {"page": page, "ribbon": ribbon(page.columns), "form": _form_of(asked)}
        except WrongField as wrong:
            values["fault"] = str(wrong)
        except BundleError as error:
            raise HTTPException(503, f"{NO_GRAPH}. ({error})") from error
        return await asyncio.to_thread(self._templates.page, request, "funnel.html", values)  # others are answered

    def _first(self, client: str | None) -> Asked:
        if client is not None and client not in self._inside.clients:
            raise WrongField(f"client: there is none of that name; there are {', '.join(self._inside.clients)}")
        return self._desk.first(client)

    async def health(self, request: Request) -> Response:
        """This process in the last hour."""
        features = self._process.lightweight.watch.states() if self._inside.ranks else None
        page = await health_page(self._inside, features)
        return self._templates.page(request, "health.html", {"page": page})

    async def logs(self, request: Request) -> Response:
        """The newest requests, or one by its id."""
        wanted = request.query_params.get("id", "").strip()
        client = request.query_params.get("client") or None
        if client not in self._inside.clients:
            client = None
        logs = self._process.logs
        trace = None
        if wanted:
            try:
                cards = PinCards(self._process.catalogs.current)
            except BundleError as error:
                raise HTTPException(503, f"{NO_GRAPH}. ({error})") from error
            trace = await asyncio.to_thread(find_request, logs, wanted, cards)
        newest = [] if trace else await asyncio.to_thread(newest_requests, logs, client)
        values = {"wanted": wanted, "trace": trace, "newest": newest, "client": client or ""}
        return self._templates.page(
            request,
            "logs.html",
            {**values, "clients": list(self._inside.clients)},
            404 if wanted and trace is None else 200,
        )


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a posted form; the last value of each."""
    text = (await request.body()).decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _form_of(asked: Asked) -> dict[str, str]:
    user = "" if asked.user is None else str(asked.user)
    return {"client": asked.client, "user": user, "pin": ", ".join(map(str, asked.pins))}
