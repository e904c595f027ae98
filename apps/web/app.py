"""The console as an application to be mounted beside the API: pages for people, drawn on the server.

It keeps no state: pages follow from bundles, logs, and what the ingress counted.
"""

import logging
import secrets
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from apps.web.asking import FunnelDesk
from apps.web.drawing import Templates
from apps.web.experiments import ExperimentPages
from apps.web.gate import ConsoleDoor
from apps.web.pages import Pages
from apps.web.secret import BYTES, read_secret
from apps.web.session import Sessions
from apps.web.versions import ModelPages
from cluster.errors import ConfigError
from cluster.store.home import control_root
from serving.deploy.process import Process
from serving.http.inside import Inside

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"


def console_app(process: Process, inside: Inside) -> ASGIApp:
    """The console of one ingress."""
    project = inside.project
    sessions = Sessions(_secret(inside))
    templates = Templates(inside, Path(project.home).parent.name)
    models = ModelPages(templates, project, process.store)
    experiments = ExperimentPages(templates, project, process.logs)
    pages = Pages(templates, inside, process, FunnelDesk(inside, process))
    made = Starlette(
        routes=[
            Route("/", pages.front),
            Route("/login", pages.login, methods=["GET", "POST"]),
            Route("/logout", pages.logout, methods=["POST"]),
            Route("/funnel", pages.funnel),
            Route("/health", pages.health),
            Route("/logs", pages.logs),
            Route("/experiments", experiments.all),
            Route("/experiments/one", experiments.one),
            Route("/models", models.all),
            Route("/models/act", models.act, methods=["POST"]),
            Route("/models/one", models.one),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={HTTPException: templates.refused},
    )
    door = ConsoleDoor(made, inside.authorizer, sessions)
    pages.sign_in = door.sign_in
    return door


def _secret(inside: Inside) -> bytes:
    """The project's, where anybody has to sign in. One that cannot be kept is no reason not to serve."""
    if not inside.authorizer.open:
        try:
            return read_secret(control_root(inside.project.home, inside.project.control))
        except ConfigError as error:
            log.warning("%s; until then a session holds for the one process that made it", error)
    return secrets.token_bytes(BYTES)
