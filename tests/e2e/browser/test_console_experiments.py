"""The experiments view in a real browser: the numbers of a log that is known, readable by everybody."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium

from cluster.experiments.register import Register
from cluster.store.home import control_root
from tests.e2e.browser.visitor import Visited, Visitor, visited
from tests.worlds.experiments import experiment_of, trial_world
from training.experiments.known import trial_of
from training.experiments.report import TrialReport
from training.experiments.run import run_report
from training.experiments.verdict import conclusions, share_said

DRAFTED = experiment_of("drafted", design="interleaving", arms={"old": {}, "new": {"set": {"policy.diversity": 0.2}}})
EXPERIMENTS = (experiment_of(), DRAFTED, experiment_of("unseen", clients=("search",)))


def fill(made: Visited) -> None:
    """Three experiments: of users, of orders, and one that nobody was in."""
    project = made.site.opened.project
    register = Register(control_root(project.home, project.control))
    for experiment in EXPERIMENTS:
        register.start(experiment)
    for experiment in EXPERIMENTS[:2]:
        trial_world(made.site.files.path.parent, experiment, users=160, effect=2.0, project=project)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    with visited(tmp_path_factory.mktemp("experiments"), fill) as made:
        yield made


def reported(site: Visited, number: int) -> TrialReport:
    return run_report(site.site.opened.project, site.site.process.logs, trial_of(EXPERIMENTS[number]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_view_can_be_read_by_everybody(site: Visited, chromium: Chromium, width: int, scheme: str) -> None:
    visitor = Visitor(chromium, site, width=width, scheme=scheme)
    views = {
        "/experiments": "more",
        "/experiments/one?name=more": "better beyond doubt",
        "/experiments/one?name=drafted": "Whose pins users acted on",
        "/experiments/one?name=unseen": "has no requests of search",
    }
    for path, told in views.items():
        page = visitor.go(path)
        assert told in page.inner_text("main").replace("\u200b", ""), path
        assert visitor.faults_for_readers() == [], path
        assert visitor.beyond() <= 0, f"{path} is wider than {width}"
    assert visitor.complaints == []
    visitor.close()


def test_the_views_show_the_numbers_of_the_report(site: Visited, chromium: Chromium) -> None:
    visitor = Visitor(chromium, site)
    page = visitor.go("/experiments")
    assert page.locator("main h2").all_inner_texts() == ["unseen", "drafted", "more"]
    assert page.locator("nav [aria-current=page]").inner_text() == "Experiments"
    page.click("text=more")
    page.wait_for_selector("h1:has-text('more')")
    report = reported(site, 0)
    [said] = conclusions(report)
    assert page.locator(".verdict").inner_text() == f"treatment: {said.text}"
    cells = page.locator("section[aria-labelledby=arms] table").nth(1).locator("tbody td").all_inner_texts()
    known = [value for arm in report.arms for value in (arm.units, arm.requests, arm.shown)]
    assert [int(cells[at].replace(",", "")) for at in (0, 2, 3, 4, 6, 7)] == known
    rows = page.locator("section[aria-labelledby=lifts] tbody tr")
    assert rows.count() == len(report.lifts)
    first = report.lifts[0]
    assert rows.first.inner_text().startswith(first.figure)
    assert share_said(first.plain.lift) in rows.first.inner_text()
    assert "sizes.explore: 1" in page.inner_text("section[aria-labelledby=arms]")
    page = visitor.go("/experiments/one?name=drafted")
    draft = reported(site, 1).drafts[0]
    assert f"{100 * draft.preference.share:.1f} %" in page.inner_text("section[aria-labelledby=drafts]")
    assert visitor.complaints == []
    visitor.close()


def test_a_name_that_nobody_started_is_told(site: Visited, chromium: Chromium) -> None:
    visitor = Visitor(chromium, site)
    page = visitor.go("/experiments/one?name=mroe")
    assert "no experiment 'mroe' was started" in page.inner_text("main")
    visitor.close()
