"""The FastAPI application around the routes."""

from fastapi import FastAPI


def create_app(title: str = "pinfunnel") -> FastAPI:
    """An empty app; whoever serves adds the routes once it has their parts."""
    return FastAPI(title=title, docs_url="/docs", description="Walk, rank and answer; log everything; learn from it.")
