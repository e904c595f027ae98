"""How large a request may be: a body beyond the limit is cut off and answered 413 before anything parses it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.faults import plain_json


class BodyLimit:
    """ASGI middleware: reads a request's body, at most `most` bytes of it, and hands it on whole."""

    def __init__(self, app: ASGIApp, most: int):
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 413 itself, or calls the app with the body that was read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._most:
            await self._refuse(scope, receive, send)
            return
        body = bytearray()
        message: Message = await receive()
        while message["type"] == "http.request":
            body += message.get("body", b"")
            if len(body) > self._most:
                await self._refuse(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
            message = await receive()
        if message["type"] != "http.request":  # the client went away
            return
        whole: Message = {"type": "http.request", "body": bytes(body), "more_body": False}
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return whole

        await self._app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"the body is larger than {self._most} bytes (serving.body_bytes in pinfunnel.yaml): send less at a time"
        await plain_json({"detail": text}, 413, {"connection": "close"})(scope, receive, send)
