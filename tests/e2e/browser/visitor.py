"""A console on a port of this machine, and what a visitor's browser says of its pages."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page

from cluster.ports import free_ports
from tests.worlds import calls
from tests.worlds.console import ConsoleSite, console_site
from tests.worlds.funnel import some_user

AXE = (Path(__file__).parent / "axe-4.14.1.min.js").read_text()
SERIOUS = ("serious", "critical")
SIZES = {390: 844, 1280: 900}
REQUESTS = 4


@dataclass
class Visited:
    """The site, where it is, and what was asked of it over HTTP."""

    site: ConsoleSite
    url: str
    user: int
    answers: list[dict[str, Any]] = field(default_factory=list)
    session: dict[str, Any] | None = None


@contextmanager
def visited(folder: Path, fill: Callable[[Visited], None] | None = None) -> Iterator[Visited]:
    """The toy world with models, served in a thread; `REQUESTS` answers and an event are in its logs, or what `fill`
    puts there.
    """
    with console_site(folder, models=fill is None) as site:
        [port] = free_ports(1)
        settings = uvicorn.Config(site.app, host="127.0.0.1", port=port, log_level="error", access_log=False)
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        made = Visited(site, f"http://127.0.0.1:{port}", some_user(site.opened))
        try:
            (fill or _traffic)(made)
            yield made
        finally:
            server.should_exit = True
            thread.join(10)


def _traffic(made: Visited) -> None:
    key = {"x-api-key": made.site.keys["events"]}
    for _ in range(REQUESTS):
        asked = {"user_id": made.user}
        answer = calls.post(f"{made.url}/v1/homefeed/recommendations", json=asked, headers=key, timeout=60)
        made.answers.append(answer.json())
    last = made.answers[-1]
    event = {
        "event_id": uuid4().hex,
        "user_id": made.user,
        "pin_id": last["pins"][0]["pin_id"],
        "action": "save",
        "request_id": last["request_id"],
        "client": "homefeed",
        "occurred_at": "2026-01-05T12:00:00Z",
    }
    stored = calls.post(f"{made.url}/v1/events", json={"events": [event]}, headers=key, timeout=60).json()
    assert stored["accepted"] == 1, stored
    calls.post(f"{made.url}/v1/logs/flush", headers={"x-api-key": made.site.keys["admin"]}, timeout=60)


class Visitor:
    """Somebody with a window of a width and a colour scheme, who notes what the browser complains of."""

    def __init__(self, chromium: Chromium, site: Visited, width: int = 1280, scheme: Any = "light", key: bool = True):
        self._site = site
        self.complaints: list[str] = []
        size = {"width": width, "height": SIZES[width]}
        state = self._session(chromium) if key else None
        self._context: BrowserContext = chromium.new_context(
            viewport=size, color_scheme=scheme, storage_state=state, base_url=site.url
        )
        self.page: Page = self._context.new_page()
        self.page.on("console", lambda message: self._noted(message.type, message.text))
        self.page.on("pageerror", lambda error: self._noted("error", str(error)))

    def _noted(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def _session(self, chromium: Chromium) -> Any:
        """Of one sign-in for all visitors."""
        if self._site.session is None:
            first = chromium.new_context(base_url=self._site.url)
            page = first.new_page()
            page.goto("/console/login")
            page.fill("#key", self._site.site.keys["admin"])
            page.click("main button")
            page.wait_for_url("**/console/funnel")
            self._site.session = dict(first.storage_state())
            first.close()
        return self._site.session

    def go(self, path: str) -> Page:
        """Open a page and wait for all of it."""
        self.page.goto(f"/console{path}")
        self.page.wait_for_load_state("networkidle")
        return self.page

    def faults_for_readers(self) -> list[str]:
        """What axe-core finds serious or critical, with the elements."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{fault['id']}: {fault['help']}: {json.dumps([node['html'][:160] for node in fault['nodes'][:3]])}"
            for fault in found["violations"]
            if fault["impact"] in SERIOUS
        ]

    def beyond(self) -> int:
        """Pixels that the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    def close(self) -> None:
        """Close the window."""
        self._context.close()
