"""The funnel as a drawing: a band that narrows from stage to stage, on a scale of logarithms. Corners only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apps.web.funnel import FunnelColumns

WIDTH = 1000.0
HEIGHT = 120.0
THINNEST = 14.0


@dataclass(frozen=True)
class Stretch:
    """From one count to the next: the corners of its band, and where its words go."""

    name: str
    count: int
    milliseconds: float | None
    points: str
    x: float


@dataclass(frozen=True)
class Ribbon:
    """The drawing."""

    stretches: tuple[Stretch, ...]
    width: float = WIDTH
    height: float = HEIGHT


def ribbon(columns: FunnelColumns) -> Ribbon:
    """Query pins, candidates, survivors and answer, with the time from each to the next."""
    took = columns.milliseconds
    of_sources = [took[source.name] for source in columns.sources if source.name in took and source.milliseconds]
    full = columns.versions["full"] is not None
    counts: list[tuple[str, int, float | None]] = [
        ("query pins", len(columns.query), None),
        ("candidates", columns.candidates, max(of_sources, default=None)),
        ("after lightweight ranking", columns.survivors, took.get("lightweight")),
        *([("scored in full", columns.scored, took.get("full"))] if full else []),
        ("answer", len(columns.answer), None),
    ]
    heights = _heights([count for _, count, _ in counts])
    step = WIDTH / len(counts)
    out = []
    for at, (name, count, milliseconds) in enumerate(counts):
        before = heights[max(at - 1, 0)]
        left = at * step
        points = _corners(left, left + step / 2, before, heights[at]) + _corners(
            left + step / 2, left + step, heights[at], heights[at]
        )
        top = [point for point in points if point[1] <= HEIGHT / 2]
        bottom = [point for point in points if point[1] > HEIGHT / 2]
        ring = [*top, *reversed(bottom)]
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in ring)
        out.append(Stretch(name, count, milliseconds, text, left + step * 0.75))
    return Ribbon(tuple(out))


def _heights(counts: Sequence[int]) -> list[float]:
    most = math.log1p(max(counts, default=1) or 1)
    return [max(THINNEST, HEIGHT * math.log1p(count) / most) for count in counts]


def _corners(left: float, right: float, first: float, last: float) -> list[tuple[float, float]]:
    middle = HEIGHT / 2
    return [
        (left, middle - first / 2),
        (right, middle - last / 2),
        (left, middle + first / 2),
        (right, middle + last / 2),
    ]
