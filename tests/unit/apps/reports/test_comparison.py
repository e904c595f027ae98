"""The report's statistics against known truths, and its page."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from apps.reports.comparison import Comparison, compare, table
from apps.reports.comparison_html import write_html
from apps.world.traffic import Traffic
from cluster.errors import DataError
from cluster.settings.project import DEFAULT_ACTIONS

CLIENTS = ("homefeed", "ads")


def traffic(seed: int, lift: float, users: int = 200, base: float = 0.05, shared: float = 0.0) -> Traffic:
    """Binomial counts whose true relative lift is known; `shared` makes users differ (log-normal sd)."""
    rng = np.random.default_rng(seed)
    out = Traffic.empty(CLIENTS, ("visit_count", "ranked"), DEFAULT_ACTIONS, np.arange(users))
    out.requests += 4
    out.shown += 40
    own = np.exp(shared * rng.normal(size=users) - shared**2 / 2)[:, None]
    for arm, rate in enumerate((base, base * (1 + lift))):
        chance = np.minimum(rate * own * np.ones(len(DEFAULT_ACTIONS)), 1.0)
        out.did[:, arm] = rng.binomial(40, chance, size=(len(CLIENTS), *chance.shape))
        out.expected[:, arm] = 40 * chance
    return out


def test_lift_is_the_ratio_of_rates_and_the_interval_holds_it() -> None:
    seen = traffic(0, 0.4)
    row = compare(seen).row("homefeed", "save")
    counts, shown = seen.did[0, :, :, 0].sum(axis=1), seen.shown[0].sum(axis=1)
    assert row.baseline == counts[0] / shown[0]
    assert row.lift == pytest.approx((counts[1] / shown[1]) / (counts[0] / shown[0]) - 1)
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.lift < row.high
    assert row.significant
    assert row.expected_lift == pytest.approx(0.4)
    assert row.requests == (800, 800)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    hits = [
        r.low <= 0.2 <= r.high
        for seed in range(30)
        for r in compare(traffic(seed, 0.2, users=120, shared=0.8), resamples=300, seed=seed).rows
        if r.low is not None and r.high is not None
    ]
    assert len(hits) == 300
    assert 0.90 < np.mean(hits) < 0.99


def test_clustered_users_widen_the_interval() -> None:
    """The same totals, but in one arm's users at random: intervals must grow when few users make the difference."""
    even = traffic(1, 0.0, users=100)
    lumpy = traffic(1, 0.0, users=100)
    lumpy.did[0, 1, :, 0] = 0
    lumpy.did[0, 1, :5, 0] = 40
    a, b = compare(even).row("homefeed", "save"), compare(lumpy).row("homefeed", "save")
    assert a.low is not None
    assert a.high is not None
    assert b.low is not None
    assert b.high is not None
    assert b.high - b.low > 2 * (a.high - a.low)


def test_too_few_actions_give_no_interval_and_no_infinite_lift() -> None:
    seen = traffic(0, 0.5, users=10)
    seen.did[0, 0, :, 0] = 0
    row = compare(seen).row("homefeed", "save")
    assert (row.lift, row.low, row.high, row.significant) == (None, None, None, False)
    json.dumps(compare(seen).as_json(), allow_nan=False)


def test_utility_rows_weigh_actions() -> None:
    seen = traffic(0, 0.3)
    weights = {"save": 1.0, "hide": -2.0}
    row = compare(seen, utilities={"ads": weights}).row("ads", "utility")
    per_arm = seen.did[1].sum(axis=1) @ [weights.get(a, 0.0) for a in DEFAULT_ACTIONS]
    assert row.baseline == pytest.approx(per_arm[0] / seen.shown[1, 0].sum())
    with pytest.raises(KeyError):
        compare(seen, utilities={"ads": weights}).row("homefeed", "utility")


def test_clients_without_traffic_are_left_out_and_missing_arms_are_an_error() -> None:
    seen = traffic(0, 0.1)
    seen.shown[1] = 0
    assert {row.client for row in compare(seen).rows} == {"homefeed"}
    with pytest.raises(DataError, match="no arm 'new'"):
        compare(seen, treatment="new")


def test_console_table_has_one_judged_row_per_client() -> None:
    comparison = compare(traffic(0, 0.5))
    console = Console(record=True, width=140)
    console.print(table(comparison))
    text = console.export_text()
    assert re.search(r"homefeed .* save .*\+\d+ % +\[\+\d+ %, \+\d+ %\]", text)
    assert re.search(r"ads .* long_click ", text)
    assert table(comparison, all_actions=True).row_count == 10


def test_the_page_is_well_formed_and_fetches_nothing(tmp_path: Path) -> None:
    comparison: Comparison = compare(traffic(0, 0.5), utilities={"ads": {"save": 1.0}})
    page = write_html(comparison, tmp_path / "r.html", "A <title>", {"seed & size": "1 < 2"}).read_text()
    balance: dict[str, int] = {}

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            balance[tag] = balance.get(tag, 0) + (tag not in ("meta", "wbr"))

        def handle_endtag(self, tag: str) -> None:
            balance[tag] -= 1

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            balance.setdefault(tag, 0)

    Tags().feed(page)
    assert all(count == 0 for count in balance.values())
    assert balance.keys() >= {"svg", "table", "circle"}
    assert "A &lt;title&gt;" in page
    assert "seed &amp; size" in page
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    assert "nan" not in page.lower()


def test_the_table_on_the_console_shows_intervals_and_no_markup() -> None:
    shown = io.StringIO()
    comparison = compare(traffic(0, 1.0, base=0.1))
    Console(file=shown, width=200, markup=False).print(table(comparison))
    assert "%, +" in shown.getvalue()
    assert not any(mark in shown.getvalue() for mark in ("[green]", "[/", "\\["))
