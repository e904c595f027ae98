"""At 80 columns nothing in a table is cut: rows and columns of long names stay apart."""

import io

import pytest
from rich.console import Console

from apps.reports.figures_table import actions_table, figures_table
from apps.tables import Table
from training.metrics.intervals import Interval

ORDERS = ("visit_count", "funnel_blended", "funnel_blended_soft", "distillation", "engagement")


def lines(table: Table) -> list[str]:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    return [line.rstrip() for line in console.export_text().splitlines() if line.strip()]


def test_what_has_no_room_goes_on_in_the_next_line() -> None:
    table = Table("name", "what", "more")
    names = [f"{'a' * 40}_{end}" for end in ("first", "second")]
    for name in names:
        table.add_row(name, "b" * 30, "c" * 30)
    told = lines(table)
    assert all(len(line) <= 80 for line in told)
    assert "…" not in "".join(told)
    assert "".join(told).count("b") == 60
    assert len(set(told)) >= 4


@pytest.mark.parametrize("orders", [2, 5])
def test_each_order_has_its_whole_name(orders: int) -> None:
    figures = {name: {"ndcg@10": Interval(0.5, 0.4, 0.6, 9)} for name in ORDERS[:orders]}
    told = lines(figures_table("homefeed", figures))
    assert all(any(name in line.split() for line in told) for name in ORDERS[:orders])
    assert sum("0.500 ±0.100" in line for line in told) == (5 if orders == 5 else 1)


def test_figures_that_an_action_lacks_are_left_out() -> None:
    told = lines(actions_table("By action", {"save": {"auc": 0.71234, "n": 3}, "hide": {"n": 1}}))
    assert told[-2].split() == ["save", "0.7123", "3"]
    assert told[-1].split() == ["hide", "1"]
