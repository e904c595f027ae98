"""The caller's `x-request-id`, by which its lines of log are found: any visible ASCII, of bounded length.

Ray Serve makes one where there is none, answers with it, and gives it to every stage and line of log.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.faults import plain_json

NAME = b"x-request-id"
MOST = 200
ALLOWED = re.compile(rb"[\x21-\x7e]{1,%d}" % MOST)


class RequestIds:
    """ASGI middleware that refuses ids which would not be found again, or fill the log."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 422 itself, or calls the app."""
        if scope["type"] == "http":
            sent = [value for name, value in scope["headers"] if name == NAME]
            if len(sent) > 1 or not all(ALLOWED.fullmatch(value) for value in sent):
                why = f"send one id of 1 to {MOST} visible ASCII characters, or none"
                fault = {"loc": ["header", NAME.decode()], "msg": why, "type": "contract"}
                await plain_json({"detail": [fault]}, 422)(scope, receive, send)
                return
        await self._app(scope, receive, send)
