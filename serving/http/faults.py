"""Answers to bad input: short, always encodable, and never an echo of what was sent, of keys least of all."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cluster.contract.api_keys import without_keys
from cluster.contract.ids import shown

MOST_FAULTS = 10
TEXT = 300
NOT_JSON = "content-type: send the body as JSON, with the header `content-type: application/json`"


def plain_json(content: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response in ASCII: what a client sent may not be valid Unicode, and messages quote from it."""
    body = without_keys(json.dumps(content, ensure_ascii=True, allow_nan=False, default=shown))
    return Response(body, status, dict(headers or {}), media_type="application/json")


def field(name: str, reason: str) -> RequestValidationError:
    """A 422 about one field, in the form of all the others."""
    return located([int(part) if part.isdigit() else part for part in name.split(".")], reason)


def located(path: Sequence[str | int], reason: str) -> RequestValidationError:
    """`field` for a path whose names may hold dots."""
    return RequestValidationError([{"loc": ("body", *path), "msg": reason, "type": "contract"}])


def short(faults: Sequence[Any]) -> list[dict[str, Any]]:
    """The first faults, without the values that were sent: `loc` (path), `msg` and `type` of each."""
    out = [
        {
            "loc": [part if isinstance(part, int) else shown(part, 80).strip("'") for part in fault["loc"]],
            "msg": shown(str(fault["msg"]), TEXT)[1:-1],
            "type": fault["type"],
        }
        for fault in faults[:MOST_FAULTS]
    ]
    if len(faults) > MOST_FAULTS:
        out.append({"loc": ["body"], "msg": f"and {len(faults) - MOST_FAULTS} more", "type": "more"})
    return out


def install(app: FastAPI, failed: Callable[[str, int, str], None]) -> None:
    """Have the app answer bad input so; `failed` is told route, status and reason of what is not the caller's fault."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        if isinstance(error.body, bytes):  # only what does not say that it is JSON is left unparsed
            return plain_json({"detail": NOT_JSON}, 422)
        return plain_json({"detail": short(error.errors())}, 422)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        detail = error.detail if not isinstance(error.detail, str) else shown(error.detail, 1000)[1:-1]
        if error.status_code >= 500:
            route = request.scope.get("route")
            failed(getattr(route, "path", ""), error.status_code, str(detail))
        return plain_json({"detail": detail}, error.status_code, error.headers)
