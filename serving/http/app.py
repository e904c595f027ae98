"""The FastAPI application around the routes."""

from fastapi import FastAPI

from serving.http import faults
from serving.http.limits import BodyLimit


def create_app(body_bytes: int, title: str = "pinfunnel") -> FastAPI:
    """An empty app for bodies of at most `body_bytes`; whoever serves adds the routes once it has their parts."""
    app = FastAPI(title=title, docs_url="/docs", description="Walk, rank and answer; log everything; learn from it.")
    app.add_middleware(BodyLimit, most=body_bytes)
    faults.install(app)
    return app
