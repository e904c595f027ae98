"""A comparison as one HTML page."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from apps.reports.comparison import UTILITY, Comparison, Row, percent
from apps.reports.page import write_page
from apps.reports.plots import Bar, bars


def write_html(comparison: Comparison, path: str | Path, title: str, facts: Mapping[str, object] | None = None) -> Path:
    """Write the page; `facts` are listed below the tables (sizes, versions, seconds). Returns the path."""
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Actions per pin shown, <b>{escape(comparison.baseline)}</b> against "
        f"<b>{escape(comparison.treatment)}</b>. "
        f"Bars: {100 * comparison.confidence:.0f} % intervals of the relative lift, users resampled "
        f"{comparison.resamples} times.</p>",
        "<h2>The action each client is judged by</h2>",
        forest_plot(comparison.primary),
        "<h2>All actions</h2>",
        _table(comparison),
        "<p class='note'>Expected lift is the same figure from the world's true probabilities of the pins shown.</p>",
    ]
    if facts:
        items = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items())
        body.append(f"<h2>About this run</h2><dl>{items}</dl>")
    return write_page(path, title, body)


def forest_plot(rows: Sequence[Row]) -> str:
    """Lift and interval of each row, on one axis that includes zero."""
    return bars(
        "Relative lift by client",
        [
            Bar(f"{row.client} · {row.action}", row.low, row.lift, row.high, _tone(row), percent(row.lift, True))
            for row in rows
        ],
    )


def _tone(row: Row) -> str:
    if not row.significant or row.lift is None:
        return ""
    return "good" if (row.lift > 0) == (row.action != "hide") else "bad"


def _table(comparison: Comparison) -> str:
    heads = (
        "client",
        "action",
        "answers",
        "pins shown",
        comparison.baseline,
        comparison.treatment,
        "lift",
        "interval",
        "expected lift",
    )
    lines = ["<div class='wide'><table class='pairs'><tr>", *(f"<th>{escape(head)}</th>" for head in heads), "</tr>"]
    for row in comparison.rows:
        rates = (
            [f"{row.baseline:.4f}", f"{row.treatment:.4f}"]
            if row.action == UTILITY
            else [percent(row.baseline), percent(row.treatment)]
        )
        interval = "too few" if row.low is None else f"{percent(row.low, True)} to {percent(row.high, True)}"
        cells = (row.client, row.action, f"{sum(row.requests):,}", f"{sum(row.impressions):,}", *rates)
        tail = (percent(row.lift, True), interval, percent(row.expected_lift, True))
        lines.append(f"<tr{' class=primary' if row.primary else ''}>")
        lines += [f"<td>{escape(str(cell))}</td>" for cell in cells]
        lines += [f"<td class='{_tone(row)}'>{escape(cell)}</td>" for cell in tail]
        lines.append("</tr>")
    return "".join([*lines, "</table></div>"])
