"""By which names a server may be called that asks for no key, because only this machine reaches it.

A web page open in a browser here reaches it, too, if the page's own name is made to resolve to 127.0.0.1 (DNS
rebinding). Its calls then carry that name in `Host`. Starlette's TrustedHostMiddleware would do the same, but for an
answer that is no JSON and does not say what to do.
"""

from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.contract.ids import shown
from cluster.ports import is_loopback
from serving.http.faults import plain_json

STATUS = 421


class KnownNames:
    """ASGI middleware that answers 421 to calls by any name but a loopback address, `localhost`, or one of `names`."""

    def __init__(self, app: ASGIApp, names: Collection[str] = ()):
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself, or calls the app."""
        if scope["type"] == "http":
            sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            name, loopback = _name_in(sent[0]) if len(sent) == 1 else ("", False)
            if not (loopback or name in self._names):
                why = (
                    f"host: this server asks for no key, so it answers to localhost alone, not to {shown(name)}: name "
                    "it in `access.hosts`, or have keys (docs/security.md)"
                )
                await plain_json({"detail": why}, STATUS)(scope, receive, send)
                return
        await self._app(scope, receive, send)


@lru_cache(maxsize=64)
def _name_in(host: str) -> tuple[str, bool]:
    """The name without a port, in lower case, empty for what is none; and whether it is this machine's own."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    return name, is_loopback(name)
