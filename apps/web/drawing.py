"""Draws pages: Jinja2 with escaping always on, and an error for a name that is not there."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from apps.web.pins import GREY
from serving.http.inside import CONSOLE, Inside
from training.experiments.verdict import share_said

FOLDER = Path(__file__).parent / "templates"
NAVIGATION = (
    ("funnel", "Funnel"),
    ("models", "Models"),
    ("experiments", "Experiments"),
    ("health", "Health"),
    ("logs", "Logs"),
)
TITLES = {401: "Sign in first", 403: "Not with this key", 404: "Not here", 429: "Too much at once", 503: "No answer"}


class Templates:
    """The pages of one console."""

    def __init__(self, inside: Inside, project: str):
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "number": number,
            "ms": milliseconds,
            "signed": signed,
            "lift": share_said,
            "moment": moment,
            "short": short_version,
            "fill": fill,
            "percent": percent,
            "bytes": size,
            "told": told,
            "breakable": breakable,
        }
        self._environment.globals |= {
            "base": CONSOLE,
            "project": project,
            "navigation": NAVIGATION,
            "open": inside.authorizer.open,
        }

    def page(self, request: Request, name: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A whole page, or for htmx the part of it that it asks for: the same text, of which it takes what it wants."""
        who = getattr(request.state, "who", None)
        view = name.partition(".")[0].partition("_")[0]
        text = self._environment.get_template(name).render(who=who, view=view, **values)
        return HTMLResponse(text, status)

    async def refused(self, request: Request, error: Exception) -> Response:
        """A page instead of a view that cannot be shown."""
        assert isinstance(error, HTTPException)
        values = {"title": TITLES.get(error.status_code, "This did not work"), "detail": str(error.detail)}
        return self.page(request, "error.html", values, error.status_code)


def number(value: float | None) -> str:
    """`12,345`, `0.1234`, `−1.5`, or a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")


def milliseconds(value: float | None) -> str:
    """`3.2 ms`."""
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def signed(value: float) -> str:
    """`+0.12`, with a real minus."""
    return f"{value:+.3g}".replace("-", "−")


def percent(value: float) -> str:
    """`12.3 %`."""
    return f"{100 * value:.1f} %"


def moment(value: datetime | None) -> str:
    """`2026-01-31 12:00 UTC`."""
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def short_version(value: str | None) -> str:
    """A version without its seconds of time and chance, for where many stand: `2026-01-31 12:00 · a1b2c3`."""
    if value is None:
        return "none"
    day, _, rest = value.partition("T")
    if len(day) != 8 or not day.isdigit():
        return value
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {rest[:2]}:{rest[2:4]} · {rest.partition('-')[2]}"


def breakable(name: str) -> Markup:
    """A name that may be broken behind its underscores and dots."""
    return Markup("<wbr>").join(re.split(r"(?<=[_./])", name))  # it escapes what it joins


def told(value: object) -> str:
    """A fact of a manifest."""
    return number(value) if value is None or isinstance(value, float) else str(value)


def size(value: int) -> str:
    """`12.3 MB`."""
    return f"{value / 1e6:,.1f} MB" if value >= 1e5 else f"{value / 1e3:,.1f} kB"


def fill(hue: float, saturation: int, lightness: int, turn: int = 0) -> str:
    """An SVG colour, `turn` degrees further on the circle."""
    if hue == GREY:
        return f"hsl(35 6% {lightness}%)"
    return f"hsl({(hue + turn) % 360:g} {saturation}% {lightness}%)"
