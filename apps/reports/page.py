"""A report as one self-contained HTML page, for a phone as for a desk: no scripts, nothing fetched."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from apps.reports import plots
from apps.reports.plots import breakable
from training.metrics.intervals import Interval

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #68717f; --line: #d8dde5; --paper: #ffffff; --good: #157f4b;
  --bad: #b3372f; --calm: #7a8596; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebf1; --soft: #9aa4b2; --line: #364050; --paper: #151a21;
  --good: #4cc38a; --bad: #ef7a70; --calm: #8b96a6; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
* { box-sizing: border-box; } h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.note, dt { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; }
th:first-child, td:first-child, .pairs th:nth-child(2), .pairs td:nth-child(2) { text-align: left; }
tr.primary td { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
th { white-space: normal; vertical-align: bottom; }
td small { display: block; white-space: normal; font-weight: 400; color: var(--soft); }
svg { width: 100%; height: auto; } p, dd, h1, h2, h3 { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) minmax(0, 1fr); gap: .2rem 1rem; }
dd { margin: 0; }
@media (max-width: 34rem) { dl { grid-template-columns: minmax(0, 1fr); gap: 0; } dd { margin-bottom: .5rem; }
  th, td { padding: .3rem .4rem; } body { margin: 1rem auto; } }
"""


def write_page(path: str | Path, title: str, body: Sequence[str], width: str = "62rem") -> Path:
    """Write the parts of the body as a page. Returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}{plots.STYLE} body {{ max-width: {width}; }}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )
    return path


def plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    head = "".join(f"<th>{breakable(text)}</th>" for text in heads)
    lines = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table><tr>{head}</tr>{lines}</table></div>"


def interval_text(value: Mapping[str, Any]) -> str:
    """`mean [low, high]` of an interval's `to_dict`."""
    if value["mean"] is None:
        return "–"
    return f"{value['mean']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"


def interval_cell(value: Interval | None, tone: str, digits: int = 3) -> str:
    """A cell of a table: the mean, and below it its interval."""
    if value is None or not value.n:
        return "<td>–</td>"
    interval = f"{value.low:.{digits}f} … {value.high:.{digits}f}"
    return f"<td class='{tone}'>{value.mean:.{digits}f}<small>{interval}</small></td>"
