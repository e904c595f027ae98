"""CPU that keys and the check of the name in Host cost a request, beside a plain route.

In one event loop, without sockets: one endpoint that answers at once, behind a route of FastAPI's own, behind ours
without keys, and with 1 and 10,000 keys in the file, each with a rate. `names` is what `Host` costs a server without.

    pinfunnel bench keys [--quick] [--json OUT]
"""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from apps.bench.machine import machine, versions
from cluster.contract.api_keys import digest, new_key
from cluster.settings.access import AccessSettings
from serving.http.auth import HEADER, Authorizer
from serving.http.guard import guarded, needs
from serving.http.hosts import KnownNames

KEYS = (1, 10_000)
ROUNDS = 9


def run(quick: bool = False) -> dict[str, Any]:
    """Microseconds of CPU a request, and what each way adds to a plain route."""
    n = 200 if quick else 2_000
    key = new_key()
    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, ASGIApp] = {"plain": _app(APIRoute), "open": _app(guarded(_authorizer(AccessSettings())))}
        ways["names"] = KnownNames(ways["open"])
        for many in KEYS:
            access = AccessSettings(keys=str(_written(Path(folder) / f"{many}.yaml", key, many)))
            ways[f"{many} keys"] = _app(guarded(_authorizer(access)))
        found = asyncio.run(_measured(ways, key, n))
    return {
        "microseconds": found,
        "added": {name: round(cost - found["plain"], 1) for name, cost in found.items() if name != "plain"},
        "requests": n * ROUNDS,
        "machine": machine(),
        "versions": versions("fastapi", "starlette"),
    }


def _authorizer(access: AccessSettings) -> Authorizer:
    return Authorizer(access, {})


def _app(route: type[APIRoute]) -> FastAPI:
    async def answer() -> dict[str, int]:
        return {}

    router = APIRouter(route_class=route)
    router.add_api_route("/v1/answer", answer, methods=["GET"], **needs("recommend"))
    app = FastAPI()
    app.include_router(router)
    return app


def _written(path: Path, key: str, many: int) -> Path:
    """A file of keys, the sender's in the middle."""
    held = [key if at == many // 2 else new_key() for at in range(many)]
    rows = [
        f"- {{name: k{at}, sha256: {digest(each.encode())}, scopes: [recommend], per_second: 1000000}}\n"
        for at, each in enumerate(held)
    ]
    path.write_text("keys:\n" + "".join(rows))
    return path


async def _measured(ways: dict[str, ASGIApp], key: str, n: int) -> dict[str, float]:
    """The ways in turns, so that a slow second of the machine meets all of them."""
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, app in ways.items():
            began = time.process_time()
            for _ in range(n):
                await _call(app, key)
            costs[name].append(1e6 * (time.process_time() - began) / n)
    return {name: round(median(each), 1) for name, each in costs.items()}


async def _call(app: ASGIApp, key: str) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"answered {message['status']}")

    headers = [(b"host", b"127.0.0.1:8000"), (HEADER.encode(), key.encode())]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/answer",
        "raw_path": b"/v1/answer",
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    await app(scope, receive, send)
