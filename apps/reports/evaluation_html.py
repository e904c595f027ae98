"""Offline reports of the lightweight stage as one self-contained HTML page: a table and a plot per client."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from apps.reports.page import interval_cell, write_page
from apps.reports.plots import breakable, interval_panels
from training.judge.lightweight import LightweightReport
from training.metrics.registry import ECE, ORDERS


def write_evaluation(
    reports: Mapping[str, LightweightReport], path: str | Path, title: str, notes: Sequence[str] = ()
) -> Path:
    """Write the page of these reports, by client. Returns the path."""
    body = [f"<h1>{escape(title)}</h1>", "<p>Mean over held-out requests [95 % interval from resampled requests]. "]
    body.append("Coloured: differs beyond doubt from visit count on the same requests.</p><dl>")
    body += [f"<dt>{escape(metric.name)}</dt><dd>{escape(metric.meaning)}</dd>" for metric in (*ORDERS, ECE)]
    body.append("</dl>")
    for name, report in reports.items():
        body.append(f"<h2>{escape(name)}</h2><p class='note'>{report.requests:,} requests, ")
        body.append(f"{report.requests_with_action:,} of them with an action</p>")
        body += [_plot(report), _table(report)]
    body += [f"<p class='note'>{escape(note)}</p>" for note in notes]
    return write_page(path, title, body, "76rem")


def metrics_of(report: LightweightReport) -> list[str]:
    """Metrics that any order has a figure for, in their first order of appearance."""
    return list(dict.fromkeys(m for row in report.orders.values() for m, value in row.items() if value.n))


def _tone(report: LightweightReport, order: str, metric: str) -> str:
    against = report.against("visit_count", order).get(metric)
    if against is None or against.low <= 0 <= against.high:
        return ""
    return "good" if against.low > 0 else "bad"


def _plot(report: LightweightReport) -> str:
    """A panel per plotted metric, a row per order.

    Of several cuts the smallest one that says something is shown.
    """
    known = metrics_of(report)
    first = (next((f for f in known if metric.names(f)), None) for metric in ORDERS if metric.plotted)
    panels = [figure for figure in first if figure is not None]
    return interval_panels(
        f"Metrics of each order, {report.client}",
        {name: name for name in report.orders},
        {metric: {o: row[metric] for o, row in report.orders.items() if metric in row} for metric in panels},
        lambda order, metric: _tone(report, order, metric),
    )


def _table(report: LightweightReport) -> str:
    metrics = metrics_of(report)
    out = ["<div class='wide'><table><tr><th>order</th>", *(f"<th>{breakable(m)}</th>" for m in metrics)]
    out.append(f"<th>{ECE.name}</th></tr>")
    for order, row in report.orders.items():
        out.append(f"<tr><td>{escape(order)}</td>")
        for metric in metrics:
            out.append(interval_cell(row.get(metric), _tone(report, order, metric)))
        error = report.calibration.get(order, float("nan"))
        out.append(f"<td>{'–' if error != error else f'{error:.3f}'}</td></tr>")
    return "".join([*out, "</table></div>"])
