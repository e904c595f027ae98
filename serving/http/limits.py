"""How large a request may be, and how long it may take to arrive: beyond, it is answered before anything parses it."""

import asyncio

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = 10.0
"""From the first to the last byte of a body."""

CLOSE = {"connection": "close"}


class BodyLimit:
    """ASGI middleware: whoever asks for the body gets it whole, at most `most` bytes of it, within `seconds`.

    Nothing of it is read before that: a call that is refused for its key costs no more than its headers.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float = SECONDS):
        self._app = app
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the app with a `receive` that raises HTTPException 413 and 408."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = False

        async def whole() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return await self._whole(scope, receive)

        await self._app(scope, whole, send)

    async def _whole(self, scope: Scope, receive: Receive) -> Message:
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._most:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._seconds):
                return await self._read(receive)
        except TimeoutError:
            text = f"the body was not whole after {self._seconds:g} seconds: send it again"
            raise HTTPException(408, text, CLOSE) from None

    async def _read(self, receive: Receive) -> Message:
        """The whole body as one message; or that its sender went away."""
        body = bytearray()
        while True:
            message: Message = await receive()
            if message["type"] != "http.request":
                return message
            body += message.get("body", b"")
            if len(body) > self._most:
                raise self._too_large()
            if not message.get("more_body", False):
                return {"type": "http.request", "body": bytes(body), "more_body": False}

    def _too_large(self) -> HTTPException:
        text = f"the body is larger than {self._most} bytes (serving.body_bytes in pinfunnel.yaml): send less at a time"
        return HTTPException(413, text, CLOSE)
