"""The endpoints by which a server tells of itself: that it lives, whether it is ready, and what it serves with."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.http.auth import HEADER, Authorizer
from serving.http.faults import plain_json
from serving.http.guard import for_everybody, needs
from serving.http.readiness import not_ready, report
from serving.http.users import Events, health_of
from serving.logs.health import LogHealth
from serving.logs.impressions import ServingLog
from serving.request.served import ServedBundles


class SelfReport:
    """Of one ingress. Where calls need keys, what goes on inside is told to those with the scope `admin` alone."""

    def __init__(
        self,
        home: str,
        served: Callable[[], Awaitable[ServedBundles]],
        log: ServingLog,
        events: Events,
        authorizer: Authorizer,
        stages: int,
    ):
        """`home` of the project; `stages` is how many deployments `served` asks."""
        self._home = home
        self.served = served
        self._log = log
        self._events = events
        self._authorizer = authorizer
        self._stages = stages
        self._closing = False

    def close(self) -> None:
        """From now on `/readyz` says that this process goes."""
        self._closing = True

    def add_to(self, router: APIRouter) -> None:
        """The endpoints, with who may call them."""
        add = router.add_api_route
        add("/healthz", self.healthz, summary="Whether this process lives", **for_everybody())
        add("/readyz", self.readyz, summary="Whether the funnel can answer", **for_everybody(503))
        add("/v1/models", self.models, summary="Bundle versions that serve now", **needs("admin"))

    async def healthz(self, request: Request) -> dict[str, str]:
        """200 while this process lives, whatever becomes of others. `home` tells whose server it is."""
        return {"status": "ok"} | ({"home": self._home} if self._shows_inside(request) else {})

    async def readyz(self, request: Request) -> Response:
        """200 when a request can be answered, if without some stage (`degraded`); else 503 with `reasons`."""
        served = await self.served()
        logs = await self.logs()
        reasons = not_ready(served, self._stages, self._closing)
        told = report(self._home, served, logs, reasons, self._authorizer.keys.problem)
        if not self._shows_inside(request):
            told = {"status": told["status"], "reasons": reasons}
        return plain_json(told, 503 if reasons else 200)

    async def logs(self) -> dict[str, LogHealth]:
        """What both logs say of themselves."""
        return {"serving_log": self._log.health(), "event_log": await health_of(self._events)}

    async def models(self) -> dict[str, Any]:
        """Version of every bundle that serves, by kind, and under `set_aside` those that should and cannot."""
        served = await self.served()
        return {**served.told, "set_aside": [asdict(problem) for problem in served.problems]}

    def _shows_inside(self, request: Request) -> bool:
        return self._authorizer.shows_inside(request.headers.get(HEADER, "").encode("latin-1"))
