"""Reports and drawings in Chromium: nothing is wider than the window, and no words lie over others."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from apps.reports.comparison import compare
from apps.reports.comparison_html import write_html
from apps.reports.evaluation_html import write_evaluation
from apps.reports.page import write_page
from apps.reports.plots import line_chart
from apps.world.traffic import Traffic
from tests.e2e.browser.boxes import beyond, overlapping, scrolled_tables, words
from training.judge.lightweight import LightweightReport
from training.metrics.intervals import Interval

DOCS = Path(__file__).parents[3] / "docs"
SIZES = {390: 844, 1280: 900}
CLIENTS = ("homefeed", "related_pins", "notifications", "search", "ads")
ACTIONS = ("save", "click", "closeup", "long_click", "hide")
ORDERS = ("visit_count", "boosts", "engagement", "funnel_pure", "funnel_blended", "funnel_blended_soft", "distillation")
FIGURES = (
    "ndcg@10",
    "ndcg@25",
    "auc",
    "local_share@25",
    "action_recall@100",
    "action_recall@500",
    "impressed_share@500",
    "teacher_top25@500",
    "teacher_top100@500",
)


def strategies(folder: Path) -> Path:
    def interval(order: int, figure: int) -> Interval:
        middle = 0.3 + 0.03 * order + 0.02 * figure
        return Interval(middle, middle - 0.05, middle + 0.05, 300)

    orders = {name: {figure: interval(at, row) for row, figure in enumerate(FIGURES)} for at, name in enumerate(ORDERS)}
    worse = {name: {figure: Interval(-0.1, -0.2, -0.05, 300) for figure in FIGURES} for name in ORDERS[1:]}
    report = LightweightReport("notifications", 1234, 567, orders, worse, dict.fromkeys(ORDERS, 0.031))
    return write_evaluation({"notifications": report}, folder / "strategies.html", "Strategies", ["A note."])


def comparison(folder: Path) -> Path:
    users = np.arange(60)
    made = Traffic.empty(CLIENTS, ("visit_count", "ranked"), ACTIONS, users)
    rng = np.random.default_rng(0)
    made.requests[:] = 4
    made.shown[:] = 100
    made.did[:] = rng.poisson(5.0, made.did.shape)
    made.expected[:] = made.did + 0.5
    gate = "published: NDCG@10 +0.0123 [+0.0101, +0.0149] against visit_count on 1,000 requests"
    facts = {"sizes": "20,000 pins, 5,000 boards, 1,000 users", "gate: lightweight/notifications": gate}
    return write_html(compare(made), folder / "report.html", "pinfunnel demo", facts)


def curves(folder: Path) -> Path:
    lines = {name: [0.1 * at, 0.2 * at, 0.3 * at] for at, name in enumerate(ORDERS)}
    return write_page(folder / "curves.html", "Sources", [line_chart("Recall", ("25", "100", "2000"), lines, "boosts")])


@pytest.fixture
def page(chromium: Chromium) -> Iterator[Page]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("make", [strategies, comparison, curves])
def test_a_report_fits_its_window(page: Page, tmp_path: Path, make, width: int, dark: bool) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": width, "height": SIZES[width]})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(make(tmp_path).as_uri())
    assert beyond(page) <= 0
    assert overlapping(words(page)) == []
    assert len(words(page)) > 5
    assert len(asked) == 1, "a report fetches nothing"
    paper, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (sum(map(int, paper[4:-1].split(","))) < sum(map(int, ink[4:-1].split(",")))) is dark
    if width == 1280:
        assert scrolled_tables(page) == 0


def test_words_that_lie_over_others_are_seen(page: Page, tmp_path: Path) -> None:
    over = "<p style='position:absolute; left:{}px; top:{}px'>{}</p>"
    wrong = over.format(0, 0, "one text") + over.format(30, 4, "two")
    path = write_page(tmp_path / "wrong.html", "Wrong", [wrong, "<div style='width: 3000px'>wide</div>"])
    page.goto(path.as_uri())
    assert ("one text", "two") in overlapping(words(page))
    assert beyond(page) > 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_drawing_of_the_funnel_fits_its_boxes(page: Page, dark: bool) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": 1080, "height": 360})
    page.goto((DOCS / "img" / "funnel.svg").as_uri())
    assert overlapping(words(page)) == []
    boxes = page.evaluate(
        """Object.fromEntries([...document.querySelectorAll('rect[id]')].map(
          rect => [rect.id, rect.getBoundingClientRect().toJSON()]))"""
    )
    inside = page.evaluate(
        """[...document.querySelectorAll('text[data-in]')].map(
          text => [text.dataset.in, text.getBoundingClientRect().toJSON(), text.textContent])"""
    )
    assert len(inside) >= 12
    for name, text, said in inside:
        box = boxes[name]
        assert box["left"] + 4 < text["left"], said
        assert text["right"] < box["right"] - 4, said
        assert box["top"] < text["top"], said
        assert text["bottom"] < box["bottom"], said
    ways = page.evaluate(
        """[...document.querySelectorAll('path[data-to]')].map(p => {
          const put = at => { const q = p.getPointAtLength(at).matrixTransform(p.getScreenCTM()); return [q.x, q.y] }
          return [p.dataset.from, put(0), p.dataset.to, put(p.getTotalLength())]
        })"""
    )
    assert len(ways) == 10
    for start, first, end, last in ways:
        assert start is None or away(boxes[start], first) < 1.5, (start, end)
        assert away(boxes[end], last) < 1.5, (start, end)


def away(box: dict[str, float], point: list[float]) -> float:
    """Pixels from a point to the edge of a box."""
    x, y = point
    inside = min(x - box["left"], box["right"] - x, y - box["top"], box["bottom"] - y)
    if inside >= 0:
        return inside
    return math.hypot(max(box["left"] - x, 0, x - box["right"]), max(box["top"] - y, 0, y - box["bottom"]))
