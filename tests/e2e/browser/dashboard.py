"""The picture of Ray's Serve page in the docs: `python -m tests.e2e.browser.dashboard URL FILE.png`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH = 1280
HEIGHT = 900
PATIENCE = 60_000.0
"""Milliseconds."""


def draw(url: str, file: Path, chromium: str) -> None:
    """Once the page lists the application."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{url}/#/serve", timeout=PATIENCE)
        page.get_by_text("lightweight", exact=True).wait_for(timeout=PATIENCE)
        page.screenshot(path=file)
        browser.close()


if __name__ == "__main__":
    found = shutil.which("chromium")
    if found is None or len(sys.argv) != 3:
        sys.exit("usage: python -m tests.e2e.browser.dashboard http://127.0.0.1:8265 FILE.png, with chromium installed")
    draw(sys.argv[1], Path(sys.argv[2]), found)
