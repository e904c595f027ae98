"""Who sees the console: a session of a key with the scope `admin`, or anybody where the API needs no key.

ASGI middleware around all pages; it also keeps other sites' pages from posting, and tells browsers what pages may do.
"""

import math
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.web.session import COOKIE, Sessions
from cluster.contract.api_keys import digest
from serving.http.auth import Authorizer
from serving.http.buckets import Bucket
from serving.http.inside import CONSOLE

LOGIN = "/login"
STATIC = "/static/"
FREE = (LOGIN, STATIC)
"""What is shown without a session."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' https:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # `no-referrer` would make the origin of our own posts null
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

TRIES = 10
TRIES_PER_SECOND = 0.5
"""Wrong keys that may be tried at once, and then."""


class ConsoleDoor:
    """Lets pages be seen by whom they are for."""

    def __init__(self, app: ASGIApp, authorizer: Authorizer, sessions: Sessions):
        self._app = app
        self._authorizer = authorizer
        self._sessions = sessions
        self._wrong = Bucket(TRIES_PER_SECOND, TRIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself, or leaves the key's name in `request.state.who` and calls the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refused = self._refusal(scope)
        await (refused or self._app)(scope, receive, with_headers)

    def sign_in(self, key: str) -> str:
        """A session for a key. Raises HTTPException 401 and 403 for one that does not do, 429 after too many."""
        if (wait := self._wrong.left_until()) > 0:
            raise HTTPException(429, "too many wrong keys", {"Retry-After": str(math.ceil(wait))})
        try:
            self._authorizer.admit("admin", None, key.encode())
        except HTTPException:
            self._wrong.take()
            raise
        return self._sessions.made(digest(key.encode()))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] not in ("GET", "HEAD") and not own_page(headers):
            return PlainTextResponse("posts come from the console's own pages alone (Origin)", 403)
        scope.setdefault("state", {})
        state: MutableMapping[str, Any] = scope["state"]
        state["who"] = None
        if self._authorizer.open or path.startswith(FREE):
            return None
        session = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        key = self._sessions.key_of(session) if session else None
        try:
            state["who"] = None if key is None else self._authorizer.admit_again("admin", key)
        except HTTPException as error:
            if error.status_code == 429:
                return PlainTextResponse(str(error.detail), 429, dict(error.headers or {}))
        if state["who"] is None:
            return _to_login(headers)
        return None


def own_page(headers: Headers) -> bool:
    """Whether a post comes from a page of this very server: browsers send `Origin` with each, and pages cannot lie."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host", "")


def _to_login(headers: Headers) -> Response:
    where = f"{CONSOLE}{LOGIN}"
    if headers.get("hx-request") == "true":  # a part of a page: the whole page has to go there
        return Response(status_code=401, headers={"hx-redirect": where})
    return RedirectResponse(where, 303)
