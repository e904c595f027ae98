"""Offline reports of the lightweight stage as one self-contained HTML page: a table and a plot per client."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from apps.reports.comparison_html import STYLE
from training.judge.lightweight import LightweightReport
from training.metrics.intervals import Interval
from training.metrics.registry import ECE, ORDERS

WIDTH = 960
LABEL = 150
PANEL = 190
GAP = 14
ROW = 22


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
    path = Path(path)
    path.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE} body {{ max-width: 76rem; }}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )
    return path


def metrics_of(report: LightweightReport) -> list[str]:
    """Metrics that any order has a figure for, in their first order of appearance."""
    return list(dict.fromkeys(m for row in report.orders.values() for m, value in row.items() if value.n))


def _tone(report: LightweightReport, order: str, metric: str) -> str:
    against = report.against("visit_count", order).get(metric)
    if against is None or against.low <= 0 <= against.high:
        return ""
    return "good" if against.low > 0 else "bad"


def _plot(report: LightweightReport) -> str:
    """A panel per plotted metric, a row per order: mean and interval on the panel's own scale.

    Of several cuts the smallest one that says something is shown.
    """
    known = metrics_of(report)
    first = (next((f for f in known if metric.names(f)), None) for metric in ORDERS if metric.plotted)
    panels = [figure for figure in first if figure is not None]
    height = ROW * (len(report.orders) + 2)
    out = [f"<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='Metrics of each order, {report.client}'>"]
    for at, order in enumerate(report.orders):
        out.append(f"<text x='0' y='{ROW * (at + 2)}'>{escape(order)}</text>")
    for column, metric in enumerate(panels):
        rows = {o: v[metric] for o, v in report.orders.items() if metric in v and v[metric].n}
        out.append(_panel(report, metric, rows, LABEL + column * (PANEL + GAP)))
    return "".join([*out, "</svg>"])


def _panel(report: LightweightReport, metric: str, rows: Mapping[str, Interval], left: int) -> str:
    low, high = min(v.low for v in rows.values()), max(v.high for v in rows.values())
    span = max(high - low, 1e-6)
    out = [f"<text x='{left}' y='{ROW - 6}'>{escape(metric)} {low:.2f} … {high:.2f}</text>"]
    for at, order in enumerate(report.orders):
        if order not in rows:
            continue
        y, value = ROW * (at + 2) - 4, rows[order]
        x = [left + (v - low) / span * PANEL for v in (value.low, value.mean, value.high)]
        colour = f"var(--{_tone(report, order, metric) or 'calm'})"
        out.append(f"<line x1='{x[0]:.1f}' x2='{x[2]:.1f}' y1='{y}' y2='{y}' stroke='{colour}' stroke-width='4'/>")
        out.append(f"<circle cx='{x[1]:.1f}' cy='{y}' r='5' fill='{colour}'/>")
    return "".join(out)


def _table(report: LightweightReport) -> str:
    metrics = metrics_of(report)
    out = ["<div class='wide'><table><tr><th>order</th>", *(f"<th>{escape(m)}</th>" for m in metrics)]
    out.append(f"<th>{ECE.name}</th></tr>")
    for order, row in report.orders.items():
        out.append(f"<tr><td>{escape(order)}</td>")
        for metric in metrics:
            value = row.get(metric)
            text = "–" if value is None or not value.n else f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"
            out.append(f"<td class='{_tone(report, order, metric)}'>{text}</td>")
        error = report.calibration.get(order, float("nan"))
        out.append(f"<td>{'–' if error != error else f'{error:.3f}'}</td></tr>")
    return "".join([*out, "</table></div>"])
