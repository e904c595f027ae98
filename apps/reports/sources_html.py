"""Sources side by side as an HTML page: recall against candidates, overlap, what each alone found, segments."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from apps.reports.page import interval_text, plain_table, write_page
from apps.reports.plots import line_chart
from training.report.sources import CUTS, HEAD, UNION


def write_sources(reports: Mapping[str, dict[str, Any]], path: str | Path, notes: Sequence[str] = ()) -> Path:
    """Write the page of these clients' reports (`SourceFindings.report`). Returns the path."""
    body = ["<h1>Sources of candidates</h1><p>Recall of the pins that users went on to act on, at equal candidates; "]
    body.append("intervals of 95 % resample users.</p>")
    body += [f"<p class='note'>{escape(note)}</p>" for note in notes]
    for client, report in reports.items():
        body.append(f"<h2>{escape(client)}</h2><p class='note'>{report['requests']:,} requests of ")
        body.append(f"{report['users']:,} users</p>{_curves(client, report)}{_figures(report)}{_overlap(report)}")
        for part, figures in report["segments"].items():
            row = {name: interval_text(value) for name, value in figures[f"recall@{HEAD}"].items()}
            head = f"{escape(part)}: recall@{HEAD}, {figures['requests']:,} requests"
            body.append(f"<h3>{head}</h3>{plain_table(('source', f'recall@{HEAD}'), list(row.items()))}")
    return write_page(path, "Sources of candidates", body)


def _curves(client: str, report: dict[str, Any]) -> str:
    """Recall against candidates, one line a source; candidates on a scale of equal steps."""
    lines = {name: [row[str(cut)]["mean"] or 0.0 for cut in CUTS] for name, row in report["recall"].items()}
    return line_chart(f"Recall against candidates, {client}", list(map(str, CUTS)), lines, UNION)


def _figures(report: dict[str, Any]) -> str:
    rows = []
    for name in (*report["sources"], UNION):
        recall = report["recall"][name]
        row = [name, *(interval_text(recall[str(cut)]) for cut in (25, HEAD, CUTS[-1]))]
        if name == UNION:
            rows.append((*row, "", "", ""))
            continue
        lost, ms = report["lost_without"][name], report["milliseconds"][name]
        rows.append((*row, interval_text(lost), f"{ms:.2f}", f"{report['lost_per_ms'][name]:.4f}"))
    heads = ("source", "recall@25", f"recall@{HEAD}", f"recall@{CUTS[-1]}", "lost without it", "ms", "lost a ms")
    return plain_table(heads, rows)


def _overlap(report: dict[str, Any]) -> str:
    names = report["sources"]
    rows = [(a, *("–" if (v := report["overlap"][a][b]) is None else f"{v:.2f}" for b in names)) for a in names]
    return f"<h3>Share of a source's first {HEAD} that another has, too</h3>{plain_table(('source', *names), rows)}"
