"""Every endpoint says who may call it, in the OpenAPI document, and what it says there is what holds.

A route without such a line cannot be made. Nobody else gets in: before a byte of the body is read.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from cluster.settings.access import Scope
from serving.http.api import Event
from serving.http.auth import ANYBODY, HEADER, Authorizer

SCHEME = "api_key"
SECURITY_SCHEME = {
    "type": "apiKey",
    "in": "header",
    "name": HEADER,
    "description": "What a key is for is its scopes; the ones an endpoint needs stand beside it.",
}

STATUSES = {
    400: "The body is not JSON, or not UTF-8",
    401: "No key of this server was sent",
    403: "The key is for other scopes, or for other clients",
    404: "No such client; the answer lists them",
    408: "The body took too long to arrive",
    413: "The body is too large",
    421: "A server without keys on this machine alone, called by another name than localhost",
    422: "A field is unknown, missing, or breaks the contract; the answer names it",
    429: "The key calls too often, or there is too much to do: try again after `Retry-After` seconds",
    503: "Nothing to answer from, or what was sent could not be stored: try again",
}
"""What an answer other than 200 means."""

OF_A_KEY = (401, 403, 429)
OF_A_NAME = (421,)
OF_A_BODY = (400, 408, 413, 422)


class ErrorAnswer(BaseModel):
    """Every answer but a 200."""

    detail: str | list[dict[str, Any]] = Field(description="what is wrong, or each fault with `loc`, `msg` and `type`")


def needs(scope: Scope, *statuses: int) -> dict[str, Any]:
    """Arguments of a route for keys with this scope. `statuses` it answers beside those that come of a key."""
    return {
        "openapi_extra": {"security": [{SCHEME: [scope]}]},
        "responses": {status: _told(status) for status in sorted({*OF_A_KEY, *OF_A_NAME, *statuses})},
    }


def for_everybody(*statuses: int) -> dict[str, Any]:
    """Arguments of a route that needs no key."""
    return {
        "openapi_extra": {"security": []},
        "responses": {status: _told(status) for status in (*OF_A_NAME, *statuses)},
    }


def _told(status: int) -> dict[str, Any]:
    return {"model": ErrorAnswer, "description": STATUSES[status]}


def guarded(authorizer: Authorizer) -> type[APIRoute]:
    """The class of routes that let in whom `authorizer` admits for the scope that they name."""

    class GuardedRoute(APIRoute):
        """Leaves the caller in `request.state.caller`."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            """The endpoint behind the gate. Raises TypeError for one that does not say who may call it."""
            said = (self.openapi_extra or {}).get("security")
            if said is None:
                raise TypeError(f"{self.path}: say who may call it, by `needs` or `for_everybody`")
            handle = super().get_route_handler()
            scope = said[0][SCHEME][0] if said else None

            async def admitted(request: Request) -> Response:
                sent = request.headers.get(HEADER, "").encode("latin-1")
                client = request.path_params.get("client")
                request.state.caller = ANYBODY if scope is None else authorizer.admit(scope, client, sent)
                return await handle(request)

            return admitted

    return GuardedRoute


class Api(FastAPI):
    """An application whose document tells how a key is sent, and what an event is."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        document["components"].setdefault("securitySchemes", {})[SCHEME] = SECURITY_SCHEME
        # a batch is read as anything, so that one event that is none is refused alone: nothing else brings the type
        document["components"]["schemas"].setdefault("Event", Event.model_json_schema())
        return document
