"""Each view shows the numbers of a project that is known, and its buttons do what they say."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from apps.web.asking import Asked, FunnelDesk, FunnelPage
from tests.e2e.browser.visitor import REQUESTS, Visited, Visitor
from tests.worlds.funnel import publish_lightweight

KIND = "lightweight/homefeed"


@pytest.fixture
def visitor(chromium: Chromium, site: Visited) -> Iterator[Visitor]:
    made = Visitor(chromium, site)
    yield made
    assert made.complaints == []
    made.close()


def ids_in(page: Page, column: str) -> list[int]:
    """Pins of a column, in their order, those of what is folded too."""
    texts = page.locator(f"section[aria-labelledby={column}] .id").all_text_contents()
    return [int(text) for text in texts]


def looked_at(site: Visited) -> FunnelPage:
    """What the view is drawn from; in a thread, as Playwright has the event loop of this one."""
    desk = FunnelDesk(site.site.inside, site.site.process)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(desk.look(Asked("homefeed", site.user, ())))).result()


def test_the_funnel_view_shows_the_answer_that_the_funnel_gives(site: Visited, visitor: Visitor) -> None:
    known = looked_at(site)
    columns = known.columns
    page = visitor.go(f"/funnel?client=homefeed&user={site.user}")
    counts = [int(text.replace(",", "")) for text in page.locator(".ribbon strong").all_text_contents()]
    assert counts == [
        len(columns.query), columns.candidates, columns.survivors, columns.scored, len(columns.answer)
    ]  # fmt: skip
    assert ids_in(page, "c-query") == [one.pin.pin_id for one in columns.query[:10]]
    assert ids_in(page, "c-light") == [one.pin.pin_id for one in columns.lightweight]
    assert ids_in(page, "c-full") == [one.pin.pin_id for one in columns.full]
    answered = page.locator(".answer summary .id").all_text_contents()
    assert list(map(int, answered)) == [one.pin.pin_id for one in columns.answer]
    first = columns.answer[0].why
    told = page.locator(".answer .why").first.inner_text()
    assert f"Candidate {first.visit_rank + 1} " in told
    names = page.locator(".answer .why").first.locator("table").first.locator("th").all_text_contents()
    assert names == [push.name for push in first.features]
    assert f"{known.orders.both} of 25 pins are in both" in page.inner_text(".orders")
    assert page.locator(".wall li.both").count() == 2 * known.orders.both
    old = page.locator(".wall").first.locator(".said").all_text_contents()
    assert [int(re.search(r"pin (\d+)", text)[1]) for text in old] == [one.pin.pin_id for one in known.orders.old]  # type: ignore[index]


def test_the_health_view_counts_what_was_answered(site: Visited, visitor: Visitor) -> None:
    page = visitor.go("/health")
    card = page.locator("section[aria-labelledby=h-homefeed]")
    assert card.locator("dd").first.text_content() == str(REQUESTS)
    assert page.locator("section[aria-labelledby=h-search] dd").first.text_content() == "0"
    outcome = page.locator("section.card", has_text="Events").last.inner_text()
    assert re.search(r"stored\s+1", outcome)


def test_the_logs_view_follows_one_request(site: Visited, visitor: Visitor) -> None:
    page = visitor.go("/logs")
    assert page.locator("tbody tr").count() == REQUESTS
    answer = site.answers[-1]
    page.fill("#id", answer["request_id"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".trace")
    rows = page.locator(".trace tbody tr")
    shown = [int(rows.nth(at).locator(".id").text_content() or 0) for at in range(len(answer["pins"]))]
    assert shown == [pin["pin_id"] for pin in answer["pins"]]
    assert rows.first.locator("td").last.text_content() == "save"


def test_models_are_published_taken_back_and_held_by_buttons(site: Visited, visitor: Visitor) -> None:
    store = site.site.process.store
    first = store.current(KIND)
    second = publish_lightweight(store, site.site.process.features, "homefeed", "graph_rank")
    page = visitor.go("/models")
    assert page.locator("h2", has_text=KIND).count() == 1
    page.click(f"a[href*='{second}']")
    assert "This version serves" in page.inner_text("main")
    assert "graph_rank" in page.inner_text("main").replace("\u200b", "")
    page.fill("form:has-text('Roll back') input[name=why]", "clicks fell")
    page.click("text=Roll back")
    page.wait_for_selector(".state.published")
    assert store.current(KIND) == first
    page.goto(f"/console/models/one?kind=lightweight%2Fhomefeed&version={second}")
    assert "clicks fell" in page.inner_text("main")
    page.select_option("select[name=against]", first)
    page.click("button:has-text('Compare')")
    page.wait_for_selector("text=Differences")
    page.click("button:has-text('Publish anyway')")
    page.wait_for_selector("text=This version serves")
    assert store.current(KIND) == second
    page.click("button:has-text('Hold')")
    page.wait_for_selector("text=newer versions are stored and not published")
    assert store.standings.of(KIND).held is not None
    page.click("button:has-text('Release')")
    page.wait_for_selector("button:has-text('Hold')")
    assert store.standings.of(KIND).held is None
