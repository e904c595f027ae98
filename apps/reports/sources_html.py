"""Sources side by side as an HTML page: recall against candidates, overlap, what each alone found, segments."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from apps.reports.page import write_page
from training.report.sources import CUTS, HEAD, UNION

WIDTH, HEIGHT = 640, 280
COLOURS = ("#3b6fd4", "#c2701c", "#157f4b", "#8a4fbf", "#b3372f", "#4a8f9c", "#7a8596", "#a08a1c")


def write_sources(reports: Mapping[str, dict[str, Any]], path: str | Path, notes: Sequence[str] = ()) -> Path:
    """Write the page of these clients' reports (`SourceFindings.report`). Returns the path."""
    body = ["<h1>Sources of candidates</h1><p>Recall of the pins that users went on to act on, at equal candidates; "]
    body.append("intervals of 95 % resample users.</p>")
    body += [f"<p class='note'>{escape(note)}</p>" for note in notes]
    for client, report in reports.items():
        body.append(f"<h2>{escape(client)}</h2><p class='note'>{report['requests']:,} requests of ")
        body.append(f"{report['users']:,} users</p>{_curves(client, report)}{_figures(report)}{_overlap(report)}")
        for part, figures in report["segments"].items():
            row = {name: _told(value) for name, value in figures[f"recall@{HEAD}"].items()}
            head = f"{escape(part)}: recall@{HEAD}, {figures['requests']:,} requests"
            body.append(f"<h3>{head}</h3>{_table(('source', f'recall@{HEAD}'), list(row.items()))}")
    return write_page(path, "Sources of candidates", body)


def _curves(client: str, report: dict[str, Any]) -> str:
    """Recall against candidates, one line a source; candidates on a scale of equal steps."""
    top = max([value["mean"] or 0.0 for row in report["recall"].values() for value in row.values()] + [1e-6])
    label = escape(f"Recall against candidates, {client}", quote=True)
    out = [f"<svg viewBox='0 0 {WIDTH + 140} {HEIGHT + 30}' role='img' aria-label='{label}'>"]
    step = WIDTH / (len(CUTS) - 1)
    for at, cut in enumerate(CUTS):
        out.append(f"<text x='{at * step:.0f}' y='{HEIGHT + 22}' text-anchor='middle'>{cut}</text>")
    for number, (name, row) in enumerate(report["recall"].items()):
        points = [(at * step, HEIGHT * (1 - (row[str(cut)]["mean"] or 0.0) / top)) for at, cut in enumerate(CUTS)]
        colour = "var(--ink)" if name == UNION else COLOURS[number % len(COLOURS)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='2'/>")
        out.append(f"<text x='{WIDTH + 8}' y='{20 * number + 14}' style='fill:{colour}'>{escape(name)}</text>")
    return "".join([*out, "</svg>"])


def _figures(report: dict[str, Any]) -> str:
    rows = []
    for name in (*report["sources"], UNION):
        recall = report["recall"][name]
        row = [name, *(_told(recall[str(cut)]) for cut in (25, HEAD, CUTS[-1]))]
        if name == UNION:
            rows.append((*row, "", "", ""))
            continue
        lost, ms = report["lost_without"][name], report["milliseconds"][name]
        rows.append((*row, _told(lost), f"{ms:.2f}", f"{report['lost_per_ms'][name]:.4f}"))
    heads = ("source", "recall@25", f"recall@{HEAD}", f"recall@{CUTS[-1]}", "lost without it", "ms", "lost a ms")
    return _table(heads, rows)


def _overlap(report: dict[str, Any]) -> str:
    names = report["sources"]
    rows = [(a, *("–" if (v := report["overlap"][a][b]) is None else f"{v:.2f}" for b in names)) for a in names]
    return f"<h3>Share of a source's first {HEAD} that another has, too</h3>{_table(('source', *names), rows)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table><tr>{head}</tr>{lines}</table></div>"


def _told(value: dict[str, Any]) -> str:
    """Mean [low, high]."""
    if value["mean"] is None:
        return "–"
    return f"{value['mean']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"
