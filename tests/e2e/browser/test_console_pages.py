"""Every view in a real browser: no complaint of it, none of axe-core's, at two widths and in both colour schemes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium

from tests.e2e.browser.visitor import Visited, Visitor

Come = Callable[..., Visitor]

PICTURE = """address => new Promise(done => {
  const picture = new Image();
  picture.onload = () => done(true);
  picture.onerror = () => done(false);
  picture.referrerPolicy = "no-referrer";
  picture.src = address;
})"""
"""Whether a page may show what is there."""


@pytest.fixture
def come(chromium: Chromium, site: Visited) -> Iterator[Come]:
    """Visitors, whose windows close after the test."""
    here: list[Visitor] = []

    def comes(**options: Any) -> Visitor:
        here.append(Visitor(chromium, site, **options))
        return here[-1]

    yield comes
    for visitor in here:
        visitor.close()


def views(site: Visited) -> dict[str, str]:
    """Paths by what is to be seen there."""
    request = site.answers[0]["request_id"]
    return {
        f"/funnel?client=homefeed&user={site.user}": "Before and after",
        "/funnel?user=x": "ids of this project are whole numbers",
        "/models": "lightweight/homefeed",
        "/models/one?kind=lightweight%2Fhomefeed": "By hand",
        "/models/one?kind=graph": "Manifest",
        "/health": "Serving now",
        "/logs": "Newest requests",
        f"/logs?id={request}": "The answer, and the candidates behind it",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_view_can_be_read_by_everybody(site: Visited, come: Come, width: int, scheme: str) -> None:
    visitor = come(width=width, scheme=scheme)
    for path, told in views(site).items():
        page = visitor.go(path)
        assert told in page.inner_text("main"), path
        assert visitor.faults_for_readers() == [], path
        assert visitor.beyond() <= 0, f"{path} is wider than {width}"
    assert visitor.complaints == []


def test_the_colour_scheme_is_the_visitors(come: Come) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    shades = [come(scheme=scheme).go("/health").evaluate(colour) for scheme in ("light", "dark")]
    assert shades == ["rgb(247, 246, 243)", "rgb(19, 22, 23)"]


def test_one_signs_in_by_keyboard_alone(site: Visited, come: Come) -> None:
    visitor = come(key=False, width=390)
    page = visitor.go("/")
    assert page.url.endswith("/console/login")
    assert visitor.faults_for_readers() == []
    page.keyboard.type(site.site.keys["admin"])  # the field has the focus
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/funnel")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    second = page.locator(".answer details").nth(1)
    second.locator("summary").focus()
    page.keyboard.press("Enter")
    assert second.get_attribute("open") is not None
    assert site.site.keys["admin"] not in page.url
    cookie = page.evaluate("document.cookie")
    assert cookie == "", "no script can read the session"
    page.click("text=Sign out")
    page.wait_for_url("**/console/login")
    assert visitor.complaints == []


def test_a_wrong_key_is_told(come: Come) -> None:
    page = come(key=False).go("/login")
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert "No such key" in page.inner_text("main")


def test_the_page_stays_while_another_user_is_looked_at(site: Visited, come: Come) -> None:
    visitor = come()
    page = visitor.go(f"/funnel?client=homefeed&user={site.user}")
    page.evaluate("window.stayed = true")
    page.select_option("#client", "notifications")
    page.click("main button")
    page.wait_for_selector(f"text=user {site.user} on notifications")
    assert page.evaluate("window.stayed")
    assert "client=notifications" in page.url
    assert visitor.complaints == []


def test_pictures_are_fetched_from_https_alone(site: Visited, come: Come) -> None:
    """The policy of the pages, as the browser reads it."""
    visitor = come()
    fetched: list[str] = []

    def answered(route: Any) -> None:
        fetched.append(f"{route.request.url} {route.request.headers.get('referer')}")
        route.fulfill(status=200, content_type="image/svg+xml", body='<svg xmlns="http://www.w3.org/2000/svg"/>')

    visitor.page.route("**/picture.svg", answered)
    page = visitor.go("/health")
    assert page.evaluate(PICTURE, "https://images.example/picture.svg")
    assert not page.evaluate(PICTURE, "http://images.example/picture.svg")
    assert fetched == ["https://images.example/picture.svg None"]
