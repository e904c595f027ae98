"""Calls the HTTP endpoints of an app in this process."""

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI


class Face:
    """Calls the app in this process, each call in an event loop of its own."""

    def __init__(self, app: FastAPI):
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://funnel") as http:
                return await http.request(method, path, **options)

        return asyncio.run(call())

    def get(self, path: str) -> httpx.Response:
        return self._call("GET", path)

    def post(self, path: str, json: Any = None, headers: dict[str, Any] | None = None) -> httpx.Response:
        return self._call("POST", path, json=json, headers=headers)
