"""Arms of one experiment: merging runs, lifts over a baseline, and the page of offline reports."""

from pathlib import Path

import numpy as np
import pytest

from apps.reports.arms import lifts, merged
from apps.reports.evaluation_html import write_evaluation
from apps.world.traffic import Traffic
from cluster.errors import DataError
from cluster.settings.project import DEFAULT_ACTIONS
from training.judge.lightweight import LightweightReport
from training.metrics.intervals import Interval


def traffic(arm: str, saves: list[int], users: list[int]) -> Traffic:
    """One client; 100 pins shown to each user, who saved so many of them."""
    out = Traffic.empty(("homefeed",), (arm,), DEFAULT_ACTIONS, np.array(users))
    out.requests[:] = 4
    out.shown[:] = 100
    out.did[0, 0, :, DEFAULT_ACTIONS.index("save")] = saves
    out.expected[...] = out.did * 1.5
    return out


def test_lifts_are_per_pin_shown_and_paired_by_user() -> None:
    base = [2, 4, 6, 8] * 10
    both = merged([traffic("a", base, list(range(40))), traffic("b", [2 * n for n in base], list(range(40)))], "arms")
    assert both.arms == ("a", "b")
    found = lifts(both, "a", {"homefeed": {"save": 2.0, "hide": -5.0}})
    row = found["b"]["homefeed"]
    assert (row["action"], row["rate"], row["lift"]) == ("save", pytest.approx(0.1), pytest.approx(1.0))
    assert row["low"] == pytest.approx(1.0)  # each user saved twice as much: resampling users changes nothing
    assert row["high"] == pytest.approx(1.0)
    assert row["true_rate"] == pytest.approx(0.15)
    assert row["true_utility"] == pytest.approx(0.3)
    assert found["a"]["homefeed"]["lift"] == 0.0
    assert lifts(both, "a", {})["a"]["homefeed"]["true_utility"] == 0.0


def test_runs_of_other_users_add_up_and_of_other_arms_do_not() -> None:
    more = merged([traffic("a", [1, 2], [0, 1]), traffic("a", [3], [0])])
    assert more.shown.shape == (1, 1, 3)
    assert more.did.sum() == 6
    with pytest.raises(DataError, match="arms"):
        merged([traffic("a", [1], [0]), traffic("b", [1], [0])])
    with pytest.raises(DataError, match="users"):
        merged([traffic("a", [1], [0]), traffic("b", [1], [1])], "arms")


def report() -> LightweightReport:
    nothing = Interval(float("nan"), float("nan"), float("nan"), 0)
    orders = {
        "visit_count": {"ndcg@10": Interval(0.5, 0.4, 0.6, 9), "teacher_top25@20": nothing},
        "mine": {"ndcg@10": Interval(0.8, 0.7, 0.9, 9), "teacher_top25@20": nothing},
        "<worse>": {"ndcg@10": Interval(0.2, 0.1, 0.3, 9), "teacher_top25@20": nothing},
    }
    differences = {
        "mine": {"ndcg@10": Interval(-0.3, -0.35, -0.25, 9)},
        "<worse>": {"ndcg@10": Interval(0.3, 0.25, 0.35, 9)},
    }
    return LightweightReport("homefeed", 12, 9, orders, differences, {"mine": 0.04})


def test_differences_can_be_asked_for_from_either_side() -> None:
    mine = report().against("visit_count", "mine")["ndcg@10"]
    assert (mine.mean, mine.low, mine.high) == (0.3, 0.25, 0.35)
    assert report().against("mine", "visit_count")["ndcg@10"].mean == -0.3
    assert report().against("mine", "<worse>") == {}


def test_the_page_shows_every_order_and_marks_what_differs(tmp_path: Path) -> None:
    page = write_evaluation(
        {"homefeed": report()}, tmp_path / "page.html", "Strategies", ["distillation: no"]
    ).read_text()
    assert page.count("<svg") == 3  # one for each order that has the figure
    assert "<td class='good'>0.800<small>0.700 … 0.900</small></td>" in page
    assert "<td class='bad'>0.200<small>0.100 … 0.300</small></td>" in page
    assert "teacher_top25" not in page.split("</dl>")[1]  # a metric without figures has no column
    assert "&lt;worse&gt;" in page
    assert "<worse>" not in page
    assert "distillation: no" in page
