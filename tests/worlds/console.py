"""The toy world behind a console: an ingress with keys, figures and logs in this process, and what browsers send."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from apps.project import Opened
from apps.web.app import console_app
from apps.world.in_process import LocalEvents
from serving.deploy.process import Process
from serving.http.figures import Figures
from serving.http.inside import Inside
from serving.http.routes import Ingress
from serving.request.served import ServedBundles
from tests.worlds.funnel import opened_world, publish_full, publish_lightweight
from tests.worlds.keys import KeyFiles

HOME = "http://testserver"


class Browser:
    """Calls an app in this process, keeps cookies, and follows no redirects."""

    def __init__(self, app: FastAPI):
        self._transport = httpx.ASGITransport(app)
        self._cookies = httpx.Cookies()

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=HOME, cookies=self._cookies) as http:
                answer = await http.request(method, path, **options)
                self._cookies = http.cookies
                return answer

        return asyncio.run(call())

    def get(self, path: str, **options: Any) -> httpx.Response:
        """As a link does."""
        return self._call("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """As a form does."""
        return self._call("POST", path, **options)


@dataclass
class ConsoleSite:
    """An ingress whose `app` has a console; `keys` by what they are for."""

    opened: Opened
    process: Process
    app: FastAPI
    files: KeyFiles
    keys: dict[str, str]
    figures: Figures
    inside: Inside

    def browser(self) -> Browser:
        """Of somebody who has not signed in."""
        return Browser(self.app)

    def signed_in(self) -> Browser:
        """Of somebody with a session of the key `admin`."""
        browser = self.browser()
        assert sign_in(browser, self.keys["admin"]).status_code == 303
        return browser


def sign_in(browser: Browser, key: str, origin: str | None = HOME) -> httpx.Response:
    """Post the form of the login page."""
    headers = {} if origin is None else {"origin": origin}
    return browser.post("/console/login", data={"key": key}, headers=headers)


@contextmanager
def console_site(folder: Path, models: bool = True, keys: bool = True) -> Iterator[ConsoleSite]:
    """The toy world with published models, behind keys unless told otherwise."""
    world = opened_world(folder)
    files = KeyFiles(folder)
    made = {"admin": files.add("admin", "admin"), "events": files.add("events", "events", "recommend")}
    if keys:
        world = Opened(world.project.model_copy(update={"access": files.access}), world.clients)
    process = world.new_process()
    if models:
        publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1)
        publish_full(process, world.clients)
    watcher = process.watcher()
    watcher.poll()
    figures = Figures()
    serving_log = process.serving_log()
    events = process.event_log()

    async def served() -> ServedBundles:
        return watcher.bundles()

    process.funnel._observer = figures
    known: list[Inside] = []

    def console(inside: Inside) -> ASGIApp:
        known.append(inside)
        return console_app(process, inside)

    ingress = Ingress(
        world.project,
        world.clients,
        process.funnel,
        LocalEvents(events),
        serving_log,
        process.features.schema_hash,
        served,
        figures,
        slots=16,
        mounted=console,
        figures=figures,
    )
    try:
        app = ingress.app()
        yield ConsoleSite(world, process, app, files, made, figures, known[0])
    finally:
        serving_log.close()
        events.close()
