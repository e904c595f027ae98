"""Pictures of a project's console for the README: `python -m tests.e2e.browser.pictures pinfunnel.yaml FOLDER`.

The project is one that `pinfunnel demo` has left, say. Draws with Debian's Chromium, as the tests of this folder look.
"""

import asyncio
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import uvicorn
from playwright.sync_api import FloatRect, Page, sync_playwright

from apps.project import open_project
from apps.web.standalone import ConsoleAlone
from cluster.ports import free_ports

WIDTH = 1280
HEIGHT = 860
MARGIN = 24


def draw(url: str, folder: Path, chromium: str) -> list[Path]:
    """`console-funnel` and `console-orders`, light and dark, as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in schemes:
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            page = context.new_page()
            _open(page, f"{url}/console/funnel")
            end = "" if scheme == "light" else "-dark"
            drawn.append(folder / f"console-funnel{end}.png")
            page.screenshot(path=drawn[-1])
            drawn.append(folder / f"console-orders{end}.png")
            page.screenshot(path=drawn[-1], full_page=True, clip=_around(page, ".orders"))
            context.close()
        browser.close()
    return drawn


def _around(page: Page, part: str) -> FloatRect:
    """A part of the page with some of what is around it."""
    box = page.locator(part).bounding_box()
    assert box is not None
    scrolled = page.evaluate("window.scrollY")
    return {"x": 0, "y": box["y"] + scrolled - MARGIN, "width": WIDTH, "height": box["height"] + 2 * MARGIN}


def _open(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")


def main(project: str, folder: str) -> None:
    """Serve the console in a thread, and draw."""
    chromium = shutil.which("chromium") or sys.exit("pictures: needs chromium on the PATH (Debian's package)")
    [port] = free_ports(1)
    alone = ConsoleAlone(open_project(project))
    server = uvicorn.Server(uvicorn.Config(alone.app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    for path in draw(f"http://127.0.0.1:{port}", Path(folder), chromium):
        print(f"{path} {path.stat().st_size / 1e3:.0f} kB")
    server.should_exit = True
    thread.join(10)


if __name__ == "__main__":
    main(*sys.argv[1:3])
