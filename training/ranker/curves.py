"""The training history of a full ranker as one SVG: loss and AUC of every action by epoch. No plotting library."""

from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite
from typing import Any

PANELS = (("train_loss", "training loss"), ("validation_loss", "validation loss"), ("validation_auc", "validation AUC"))
COLOURS = ("#2563a8", "#b3541e", "#157f4b", "#7b3fa0", "#a8325a", "#5a6472", "#0f7c8a", "#8a7a10")
WIDTH = 250
HEIGHT = 170
LEFT = 52
TOP = 34
GAP = 40


def history_svg(history: Sequence[Mapping[str, Any]], actions: Sequence[str]) -> str:
    """One panel a figure, one line an action, a point an epoch; figures that are not there leave their panel out.

    `history` is `FitResult.history`. Not finite values break their line.
    """
    panels = [(key, title) for key, title in PANELS if any(key in row for row in history)]
    width = LEFT + len(panels) * (WIDTH + GAP + LEFT)
    height = TOP + HEIGHT + 58
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for at, (key, title) in enumerate(panels):
        out += _panel(key, title, history, actions, LEFT + at * (WIDTH + GAP + LEFT))
    for at, action in enumerate(actions):
        x = LEFT + 110 * at
        colour = COLOURS[at % len(COLOURS)]
        out.append(f'<rect x="{x}" y="{height - 16}" width="12" height="4" fill="{colour}"/>')
        out.append(f'<text x="{x + 17}" y="{height - 10}" fill="#333333">{escape(action)}</text>')
    return "\n".join([*out, "</svg>\n"])


def _panel(key: str, title: str, history: Sequence[Mapping[str, Any]], actions: Sequence[str], left: int) -> list[str]:
    rows = [(int(row["epoch"]), row[key]) for row in history if key in row]
    values = [v for _, row in rows for v in row if isfinite(v)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    first, last = rows[0][0], max(rows[-1][0], rows[0][0] + 1)

    def point(epoch: int, value: float) -> tuple[float, float]:
        x = left + WIDTH * (epoch - first) / (last - first)
        return x, TOP + HEIGHT * (high - value) / (high - low)

    out = [f'<text x="{left}" y="{TOP - 14}" fill="#333333" font-weight="600">{escape(title)}</text>']
    for share in (0.0, 0.5, 1.0):
        y, value = TOP + HEIGHT * (1 - share), low + share * (high - low)
        out.append(f'<line x1="{left}" x2="{left + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d8dde5"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#68717f">{value:.3f}</text>')
    for epoch in sorted({first, last}):
        x = point(epoch, low)[0]
        out.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle" fill="#68717f">{epoch}</text>')
    for at in range(len(actions)):
        points = [point(epoch, row[at]) for epoch, row in rows if isfinite(row[at])]
        colour = COLOURS[at % len(COLOURS)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in points]
    return out
