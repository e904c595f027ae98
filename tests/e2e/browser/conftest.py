"""One browser, and one site with a console, for all tests of this folder."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import sync_playwright

from tests.e2e.browser.visitor import Visited, visited

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Chromium]:
    """Debian's browser. Where it should be and is not, tests fail; elsewhere they are skipped, saying so."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        told = "no chromium on the PATH: the console is not looked at in a browser (as root, .ci/debian installs it)"
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(told)
        pytest.skip(told)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    """The toy world behind keys, over a socket, with some traffic logged."""
    with visited(tmp_path_factory.mktemp("site")) as made:
        yield made
