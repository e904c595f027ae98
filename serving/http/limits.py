"""How large a request may be, and how long it may take to arrive: beyond, it is answered before anything parses it."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.faults import plain_json

SECONDS = 10.0
"""From the first to the last byte of a body."""


class BodyLimit:
    """ASGI middleware: reads a request's body, at most `most` bytes of it in `seconds`, and hands it on whole."""

    def __init__(self, app: ASGIApp, most: int, seconds: float = SECONDS):
        self._app = app
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 413 and 408 itself, or calls the app with the body that was read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._most:
            await self._refuse(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._seconds):
                body, ended = await self._read(receive)
        except TimeoutError:
            await self._refuse_slow(scope, receive, send)
            return
        if body is None:
            await self._refuse(scope, receive, send)
            return
        if not ended:  # the client went away
            return
        whole: Message = {"type": "http.request", "body": body, "more_body": False}
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return whole

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> tuple[bytes | None, bool]:
        """The body, None when it is too long; and whether all of it came."""
        body = bytearray()
        while True:
            message: Message = await receive()
            if message["type"] != "http.request":
                return bytes(body), False
            body += message.get("body", b"")
            if len(body) > self._most:
                return None, False
            if not message.get("more_body", False):
                return bytes(body), True

    async def _refuse_slow(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"the body was not whole after {self._seconds:g} seconds: send it again"
        await plain_json({"detail": text}, 408, {"connection": "close"})(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"the body is larger than {self._most} bytes (serving.body_bytes in pinfunnel.yaml): send less at a time"
        await plain_json({"detail": text}, 413, {"connection": "close"})(scope, receive, send)
