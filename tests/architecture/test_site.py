"""The documentation as a site: links lead somewhere, nothing is loaded from elsewhere, and each page is there once."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.repository import ROOT

KINDS = ["Start", "How-to", "Reference", "Explanation", "Lab book"]
LOADED = re.compile(r"<(?:(?:script|img|iframe)[^>]*\ssrc|link[^>]*\shref)=[\"']?(https?:[^\"'\s>]+)")


class _Plain(yaml.SafeLoader):
    """YAML whose Python tags are left unread."""


_Plain.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def paths(nav: Any) -> list[str]:
    """Pages of a part of the navigation."""
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in paths(part)]


def navigation() -> dict[str, list[str]]:
    """Kind of page → its pages."""
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(), _Plain)
    return {kind: paths(part) for entry in settings["nav"] for kind, part in entry.items()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def test_each_page_is_in_the_navigation_once() -> None:
    named = [page for pages in navigation().values() for page in pages]
    assert sorted(named) == sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
    assert list(navigation()) == KINDS


def test_the_first_page_leads_to_every_page_of_its_kinds() -> None:
    text = (ROOT / "docs" / "README.md").read_text()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == KINDS
    below = ("adr/", "experiments/", "extend/")  # these have an index of their own
    wanted = [page for pages in navigation().values() for page in pages if not page.startswith(below)]
    assert [page for page in wanted if f"({page})" not in text and page != "README.md"] == []


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    built = list(site.rglob("*.html"))
    assert len(built) > 50
    found = {(page.name, match) for page in built for match in LOADED.findall(page.read_text())}
    assert found == set()
    sheets = [sheet for sheet in site.rglob("*.css") if re.search(r"url\([\"']?https?:", sheet.read_text())]
    assert sheets == []


def test_what_pages_link_to_beside_docs_is_in_the_site(site: Path) -> None:
    page = (site / "operations.html").read_text()
    assert 'href="files/apps/serve.yaml.html"' in page
    assert "pinfunnel" in (site / "files" / "apps" / "serve.yaml.html").read_text()
    assert "homefeed.yaml" in (site / "files" / "apps" / "clients.html").read_text()


def test_something_loaded_from_elsewhere_is_seen() -> None:
    assert LOADED.search('<script async src="https://cdn.example/x.js">')
    assert LOADED.search("<link rel=stylesheet href=https://fonts.example/css>")
    assert not LOADED.search('<a href="https://ray.io">Ray</a><link rel="icon" href="assets/icon.png">')
