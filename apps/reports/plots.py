"""Plots of a report that keep their text readable at any width: words are HTML, only lines and points are drawn.

Nothing is laid over anything else: a label has a cell of its own beside its bar, or above it where a screen is narrow.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from training.metrics.intervals import Interval

CHART = 640
CHART_HEIGHT = 280
COLOURS = ("#3b6fd4", "#c2701c", "#157f4b", "#8a4fbf", "#b3372f", "#4a8f9c", "#7a8596", "#a08a1c")

STYLE = """
.bars { margin: 1rem 0; } .bars .bar { display: grid; gap: 0 .8rem; align-items: center;
  grid-template-columns: 13rem minmax(4rem, 1fr) 5rem; }
.bars .bar > :last-child { text-align: right; } .bars svg { height: 1.6rem; }
.panels { display: grid; gap: .5rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.panels h4 { margin: .8rem 0 0; font-size: .95rem; } .panels h4 span { color: var(--soft); font-weight: 400; }
.panels .bar { display: grid; gap: 0 .6rem; align-items: center;
  grid-template-columns: minmax(0, 9rem) minmax(4rem, 1fr); }
.bar > :first-child { overflow-wrap: anywhere; } .bar svg { display: block; width: 100%; }
.panels svg { height: 1.3rem; } .keys { display: flex; flex-wrap: wrap; gap: 0 1.2rem; }
.keys i { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; margin-right: .35rem; }
.ends { display: flex; justify-content: space-between; color: var(--soft); }
@media (max-width: 34rem) { .bars .bar { grid-template-columns: 1fr auto; }
  .bars .bar svg { grid-column: 1 / -1; grid-row: 2; } }
"""


def breakable(name: str) -> str:
    """A name as HTML that may go on in another line behind its `_` and `@`, rather than anywhere or not at all."""
    return re.sub(r"([_@])", r"\1<wbr>", escape(name))


@dataclass(frozen=True)
class Bar:
    """One row: what it is called, its interval and mean where they are known, its tone, and what stands behind it."""

    label: str
    low: float | None
    mean: float | None
    high: float | None
    tone: str = ""  # `good`, `bad`, or nothing
    said: str = ""


def bars(label: str, rows: Sequence[Bar]) -> str:
    """Intervals below one another on one scale that includes zero, which has a dashed line."""
    known = [0.0, *(value for row in rows for value in (row.low, row.mean, row.high) if value is not None)]
    low, high = min(known), max(known)
    span = max(high - low, 0.1)
    scale = (low - 0.05 * span, high + 0.05 * span)
    lines = [
        f"<div class='bar'><span>{breakable(row.label)}</span>{_drawn(row, scale, zero=True)}"
        f"<span>{escape(row.said)}</span></div>"
        for row in rows
    ]
    note = "<p class='note'>Dashed: no difference.</p>"
    return f"<div class='bars' role='img' aria-label='{escape(label, quote=True)}'>{''.join(lines)}</div>{note}"


def interval_panels(
    label: str,
    rows: Mapping[str, str],
    panels: Mapping[str, Mapping[str, Interval]],
    tone: Callable[[str, str], str],
) -> str:
    """A panel per figure, a row per order (name → what it is called): mean and interval on the panel's own scale.

    `tone` (order, figure) is `good`, `bad`, or nothing.
    """
    out = []
    for figure, values in panels.items():
        known = {name: values[name] for name in rows if name in values and values[name].n}
        if not known:
            continue
        scale = min(v.low for v in known.values()), max(v.high for v in known.values())
        out.append(f"<div><h4>{breakable(figure)} <span>{scale[0]:.2f} … {scale[1]:.2f}</span></h4>")
        for name, value in known.items():
            bar = Bar(rows[name], value.low, value.mean, value.high, tone(name, figure))
            out.append(f"<div class='bar'><span>{breakable(bar.label)}</span>{_drawn(bar, scale)}</div>")
        out.append("</div>")
    return f"<div class='panels' role='img' aria-label='{escape(label, quote=True)}'>{''.join(out)}</div>"


def _drawn(bar: Bar, scale: tuple[float, float], zero: bool = False) -> str:
    """The bar alone, as wide as its cell; lengths are shares of it, so that strokes and points keep their shape."""
    span = max(scale[1] - scale[0], 1e-6)

    def x(value: float) -> str:
        return f"{2 + 96 * (value - scale[0]) / span:.2f}%"

    colour = f"var(--{bar.tone or 'calm'})"
    out = ["<svg aria-hidden='true'>"]
    if zero:
        out.append(f"<line x1='{x(0)}' x2='{x(0)}' y1='0' y2='100%' stroke='var(--soft)' stroke-dasharray='4 4'/>")
    if bar.low is not None and bar.high is not None:
        out.append(f"<line x1='{x(bar.low)}' x2='{x(bar.high)}' y1='50%' y2='50%' stroke='{colour}' stroke-width='4'/>")
    if bar.mean is not None:
        out.append(f"<circle cx='{x(bar.mean)}' cy='50%' r='5' fill='{colour}'/>")
    return "".join([*out, "</svg>"])


def line_chart(label: str, heads: Sequence[str], lines: Mapping[str, Sequence[float]], strong: str = "") -> str:
    """A line per name over `heads` at equal steps, from 0 up; the one called `strong` in the colour of the text."""
    top = max([value for row in lines.values() for value in row] + [1e-6])
    drawn, keys = [], []
    step = CHART / max(len(heads) - 1, 1)
    for number, (name, row) in enumerate(lines.items()):
        points = " ".join(f"{at * step:.1f},{CHART_HEIGHT * (1 - value / top):.1f}" for at, value in enumerate(row))
        colour = "var(--ink)" if name == strong else COLOURS[number % len(COLOURS)]
        drawn.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>")
        keys.append(f"<span><i style='background:{colour}'></i>{escape(name)}</span>")
    ends = "".join(f"<span>{escape(head)}</span>" for head in heads)
    return (
        f"<svg viewBox='0 -4 {CHART} {CHART_HEIGHT + 8}' role='img' aria-label='{escape(label, quote=True)}'>"
        f"{''.join(drawn)}</svg><div class='ends'>{ends}</div><div class='keys'>{''.join(keys)}</div>"
    )
