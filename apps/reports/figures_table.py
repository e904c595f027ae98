"""Figures of several orders as a table for terminals."""

from typing import Any

from apps.tables import Table

MOST_COLUMNS = 4
"""Orders that fit beside one another into 80 columns; more of them stand below one another."""


def figures_table(title: str, orders: dict[str, dict[str, Any]]) -> Table:
    """A cell is the mean ± half of its 95 % interval. Few orders are columns, many are rows below each metric."""
    metrics = list(dict.fromkeys(m for row in orders.values() for m, value in row.items() if value.n))
    if len(orders) > MOST_COLUMNS:
        table = Table("metric", "order", "mean", title=title)
        for metric in metrics:
            for at, (name, row) in enumerate(orders.items()):
                table.add_row("" if at else metric, name, _cell(row.get(metric)))
        return table
    table = Table("", *orders, title=title)
    for metric in metrics:
        table.add_row(metric, *(_cell(row.get(metric)) for row in orders.values()))
    return table


def _cell(value: Any) -> str:
    return "–" if value is None or not value.n else f"{value.mean:.3f} ±{(value.high - value.low) / 2:.3f}"


def actions_table(title: str, figures: dict[str, Any]) -> Table:
    """One row an action."""
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    table = Table("action", *names, title=title)
    for action, row in figures.items():
        cells = (f"{row[n]:.4g}" if isinstance(row.get(n), float) else str(row.get(n, "")) for n in names)
        table.add_row(action, *cells)
    return table
