"""A report as one self-contained HTML page: no scripts, nothing fetched. And intervals side by side as inline SVG."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from training.metrics.intervals import Interval

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #68717f; --line: #d8dde5; --paper: #ffffff; --good: #157f4b;
  --bad: #b3372f; --calm: #7a8596; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebf1; --soft: #9aa4b2; --line: #364050; --paper: #151a21;
  --good: #4cc38a; --bad: #ef7a70; --calm: #8b96a6; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.note, dt { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; } th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
tr.primary td { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
svg { width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: var(--ink); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dd { margin: 0;
  overflow-wrap: anywhere; }
"""
WIDTH = 960
LABEL = 190
PANEL = 190
GAP = 14
ROW = 22
CHART = 640
CHART_HEIGHT = 280
COLOURS = ("#3b6fd4", "#c2701c", "#157f4b", "#8a4fbf", "#b3372f", "#4a8f9c", "#7a8596", "#a08a1c")


def write_page(path: str | Path, title: str, body: Sequence[str], width: str = "62rem") -> Path:
    """Write the parts of the body as a page. Returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE} body {{ max-width: {width}; }}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )
    return path


def line_chart(label: str, heads: Sequence[str], lines: Mapping[str, Sequence[float]], strong: str = "") -> str:
    """A line per name over `heads` at equal steps, from 0 up; the one called `strong` in the colour of the text."""
    top = max([value for row in lines.values() for value in row] + [1e-6])
    out = [f"<svg viewBox='0 0 {CHART + 140} {CHART_HEIGHT + 30}' role='img' aria-label='{escape(label, quote=True)}'>"]
    step = CHART / max(len(heads) - 1, 1)
    for at, head in enumerate(heads):
        anchor = "start" if at == 0 else "middle"
        x, y = f"{at * step:.0f}", CHART_HEIGHT + 22
        out.append(f"<text x='{x}' y='{y}' text-anchor='{anchor}'>{escape(head)}</text>")
    for number, (name, row) in enumerate(lines.items()):
        line = " ".join(f"{at * step:.1f},{CHART_HEIGHT * (1 - value / top):.1f}" for at, value in enumerate(row))
        colour = "var(--ink)" if name == strong else COLOURS[number % len(COLOURS)]
        out.append(f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='2'/>")
        out.append(f"<text x='{CHART + 8}' y='{20 * number + 14}' style='fill:{colour}'>{escape(name)}</text>")
    return "".join([*out, "</svg>"])


def plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table><tr>{head}</tr>{lines}</table></div>"


def interval_text(value: Mapping[str, Any]) -> str:
    """`mean [low, high]` of an interval's `to_dict`."""
    if value["mean"] is None:
        return "–"
    return f"{value['mean']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"


def interval_panels(
    label: str,
    rows: Mapping[str, str],
    panels: Mapping[str, Mapping[str, Interval]],
    tone: Callable[[str, str], str],
) -> str:
    """A panel per figure, a row per order (name → what it is called): mean and interval on the panel's own scale.

    `tone` (order, figure) is `good`, `bad`, or nothing.
    """
    out = [f"<svg viewBox='0 0 {WIDTH} {ROW * (len(rows) + 2)}' role='img' aria-label='{escape(label, quote=True)}'>"]
    for at, said in enumerate(rows.values()):
        out.append(f"<text x='0' y='{ROW * (at + 2)}'>{escape(said)}</text>")
    for column, (figure, values) in enumerate(panels.items()):
        known = {name: values[name] for name in rows if name in values and values[name].n}
        if known:
            out.append(_panel(list(rows), figure, known, LABEL + column * (PANEL + GAP), tone))
    return "".join([*out, "</svg>"])


def _panel(
    names: Sequence[str], figure: str, known: Mapping[str, Interval], left: int, tone: Callable[[str, str], str]
) -> str:
    low, high = min(v.low for v in known.values()), max(v.high for v in known.values())
    span = max(high - low, 1e-6)
    out = [f"<text x='{left}' y='{ROW - 6}'>{escape(figure)} {low:.2f} … {high:.2f}</text>"]
    for at, name in enumerate(names):
        if name not in known:
            continue
        y, value = ROW * (at + 2) - 4, known[name]
        x = [left + (v - low) / span * PANEL for v in (value.low, value.mean, value.high)]
        colour = f"var(--{tone(name, figure) or 'calm'})"
        out.append(f"<line x1='{x[0]:.1f}' x2='{x[2]:.1f}' y1='{y}' y2='{y}' stroke='{colour}' stroke-width='4'/>")
        out.append(f"<circle cx='{x[1]:.1f}' cy='{y}' r='5' fill='{colour}'/>")
    return "".join(out)


def interval_cell(value: Interval | None, tone: str, digits: int = 3) -> str:
    """A cell of a table: mean [low, high]."""
    known = value is not None and value.n
    text = f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]" if value and known else "–"
    return f"<td class='{tone}'>{text}</td>"
