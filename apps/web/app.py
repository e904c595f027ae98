"""The console as an application to be mounted beside the API: pages for people, drawn on the server.

It keeps no state: pages follow from bundles, logs, and what the ingress counted.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from apps.web.asking import FunnelDesk
from apps.web.drawing import Templates
from apps.web.gate import ConsoleDoor
from apps.web.pages import Pages
from apps.web.secret import read_secret
from apps.web.session import Sessions
from apps.web.versions import ModelPages
from cluster.store.home import control_root
from serving.deploy.process import Process
from serving.http.inside import Inside

STATIC = Path(__file__).parent / "static"


def console_app(process: Process, inside: Inside) -> ASGIApp:
    """The console of one ingress. Raises ConfigError where the secret of its sessions cannot be kept."""
    project = inside.project
    sessions = Sessions(read_secret(control_root(project.home, project.control)))
    templates = Templates(inside, Path(project.home).parent.name)
    models = ModelPages(templates, project, process.store)
    pages = Pages(templates, inside, process, FunnelDesk(inside, process.catalogs))
    made = Starlette(
        routes=[
            Route("/", pages.front),
            Route("/login", pages.login, methods=["GET", "POST"]),
            Route("/logout", pages.logout, methods=["POST"]),
            Route("/funnel", pages.funnel),
            Route("/health", pages.health),
            Route("/logs", pages.logs),
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
