"""The FastAPI application around the routes."""

from collections.abc import Callable, Collection

from fastapi import APIRouter, FastAPI

from serving.http import faults
from serving.http.docs_pages import add_docs_pages
from serving.http.early import EarlyRefusal
from serving.http.guard import Api
from serving.http.hosts import KnownNames
from serving.http.limits import BodyLimit
from serving.http.request_ids import RequestIds
from serving.http.request_lines import RequestLines


def create_app(
    routes: APIRouter,
    body_bytes: int,
    check: Callable[[], None],
    lines: RequestLines,
    names: Collection[str] | None = None,
) -> FastAPI:
    """An app for bodies of at most `body_bytes`; `check` raises Busy when there is too much to do.

    `lines` are told of requests without an answer. `names`: by which it may be called beside localhost; None: any.
    """
    told = "Walk, rank and answer; log everything; learn from it."
    app = Api(title="pinfunnel", description=told, docs_url=None, redoc_url=None)
    add_docs_pages(app)
    app.add_middleware(BodyLimit, most=body_bytes)
    app.add_middleware(EarlyRefusal, check=check)  # around the one before
    app.add_middleware(RequestIds)
    if names is not None:
        app.add_middleware(KnownNames, names=names)
    app.include_router(routes)
    faults.install(app, lines.failed)
    return app
