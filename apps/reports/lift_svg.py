"""A comparison's judged actions as a drawing of its own, for a README: it knows light and dark, and needs no page."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from apps.reports.comparison import Row, percent

WIDTH = 760
LEFT = 200
RIGHT = 90
STEP = 34
STYLE = """
.page { fill: #ffffff } text { fill: #1f2328 } .zero { stroke: #8c959f } .good { color: #1a7f37 }
.bad { color: #cf222e } .calm { color: #57606a } .bar { stroke: currentColor;
  stroke-width: 4 } .dot { fill: currentColor }
@media (prefers-color-scheme: dark) { .page { fill: #0d1117 } text { fill: #e6edf3 } .good { color: #3fb950 }
  .bad { color: #f85149 } .calm { color: #9198a1 } }
"""


def write_lift_svg(rows: Sequence[Row], path: Path) -> Path:
    """Write lift and interval of each row on one axis that includes zero. Returns the path."""
    known = [0.0, *(value for row in rows for value in (row.low, row.lift, row.high) if value is not None)]
    low, high = min(known), max(known)
    span = max(high - low, 0.1)
    low, high = low - 0.05 * span, high + 0.05 * span
    height = STEP * (len(rows) + 1)

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    zero = f"{x(0):.1f}"
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' font-family='system-ui, sans-serif' font-size='13' "
        f"viewBox='0 0 {WIDTH} {height}' role='img'><title>Relative lift by client</title><style>{STYLE}</style>"
        f"<rect class='page' width='{WIDTH}' height='{height}'/><line class='zero' stroke-dasharray='4 4' x1='{zero}' "
        f"x2='{zero}' y1='8' y2='{height - STEP + 4}'/><text x='{zero}' y='{height - 12}' text-anchor='middle'>"
        "no difference</text>"
    ]
    for at, row in enumerate(rows):
        y = STEP * at + 22
        parts.append(
            f"<text x='8' y='{y + 4}'>{escape(row.client)} · {escape(row.action)}</text><g class='{_tone(row)}'>"
        )
        if row.low is not None and row.high is not None:
            parts.append(f"<line class='bar' x1='{x(row.low):.1f}' x2='{x(row.high):.1f}' y1='{y}' y2='{y}'/>")
        if row.lift is not None:
            parts.append(f"<circle class='dot' cx='{x(row.lift):.1f}' cy='{y}' r='6'/>")
        parts.append(f"</g><text x='{WIDTH - 8}' y='{y + 4}' text-anchor='end'>{percent(row.lift, True)}</text>")
    path.write_text("".join([*parts, "</svg>\n"]))
    return path


def _tone(row: Row) -> str:
    if not row.significant or row.lift is None:
        return "calm"
    return "good" if (row.lift > 0) == (row.action != "hide") else "bad"
