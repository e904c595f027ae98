"""Refuses requests that would wait too long before anything of them is read: a refusal should cost next to nothing."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.admission import Busy
from serving.http.faults import plain_json

RANKED = "/recommendations"
"""How the paths end of what waits for a turn."""


class EarlyRefusal:
    """ASGI middleware around everything else. `check` raises Busy when there is too much to do."""

    def __init__(self, app: ASGIApp, check: Callable[[], None]):
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 429 itself, or calls the app."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith(RANKED):
            try:
                self._check()
            except Busy as busy:
                headers = {"retry-after": str(busy.retry_after)}
                await plain_json({"detail": str(busy)}, 429, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)
