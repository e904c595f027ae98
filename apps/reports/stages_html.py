"""Stages side by side as an HTML page: per client and per part of its requests a plot and a table."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from apps.reports.page import interval_cell, write_page
from apps.reports.plots import breakable, interval_panels
from apps.reports.stages_protocol import protocol_lines
from apps.reports.stages_quality import StageQuality
from apps.reports.stages_table import remarks


def write_stages(
    qualities: Mapping[str, StageQuality],
    protocols: Mapping[str, dict[str, Any]],
    path: str | Path,
    title: str,
    notes: Sequence[str] = (),
) -> Path:
    """Write the page of these clients. Returns the path."""
    body = [f"<h1>{escape(title)}</h1>", "<p>Mean over held-out requests [95 % interval from resampled users]. "]
    body.append("Coloured: differs beyond doubt from visit count on the same requests.</p>")
    body += [f"<p class='note'>{escape(note)}</p>" for note in notes]
    for client, quality in qualities.items():
        body.append(f"<h2>{escape(client)}</h2>{_counted(quality)}{_part(client, quality)}")
        body += [f"<p class='note'>{escape(line)}</p>" for line in remarks([quality])]
        for name, part in quality.segments.items():
            body.append(f"<h3>{escape(client)}: {escape(name)}</h3>{_counted(part)}{_part(f'{client}, {name}', part)}")
        items = "".join(f"<p class='note'>{escape(line)}</p>" for line in protocol_lines(protocols[client]))
        body.append(f"<h3>How {escape(client)} was judged</h3>{items}")
    return write_page(path, title, body)


def _counted(quality: StageQuality) -> str:
    return f"<p class='note'>{quality.requests:,} requests of {quality.users:,} users</p>"


def _part(label: str, quality: StageQuality) -> str:
    if not quality.requests:
        return ""
    present = {n: said for n, said in quality.titles.items() if any(n in row for row in quality.figures.values())}

    def tone(order: str, figure: str) -> str:
        against = quality.lifts.get(figure, {}).get(order)
        if against is None or against.low <= 0 <= against.high:
            return ""
        return "good" if against.low > 0 else "bad"

    rows = ["<div class='wide'><table><tr><th>order</th>", *(f"<th>{breakable(f)}</th>" for f in quality.figures)]
    rows.append("<th>requests</th></tr>")
    for name, said in present.items():
        rows.append(f"<tr><td>{escape(said)}</td>")
        rows += [interval_cell(row.get(name), tone(name, figure), 4) for figure, row in quality.figures.items()]
        rows.append(f"<td>{max(row[name].n for row in quality.figures.values() if name in row):,}</td></tr>")
    return "".join(
        [interval_panels(f"Quality of each order, {label}", present, quality.figures, tone), *rows, "</table></div>"]
    )
