"""Pieces of Markdown that generated pages are made of: tables, cells, anchors. Knows no page."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any


def cell(text: str) -> str:
    """A text as a cell of a table: one line, with the bar escaped."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; nothing where it has no rows."""
    lines = [f"| {' | '.join(cell(one) for one in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *lines, ""]) if lines else ""


def code(value: Any) -> str:
    """A value as it is written in YAML's flow style."""
    return f"`{_flow(value)}`"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_flow, value))}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


def prose(text: str | None) -> str:
    """A docstring as paragraphs, each on one line; commands that it prints are a block."""
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", (text or "").replace("\b", "").strip())]
    return "\n\n".join(_block(part) if part.startswith("pinfunnel ") else " ".join(part.split()) for part in paragraphs)


def _block(commands: str) -> str:
    return "\n".join(["```", *(line.strip() for line in commands.splitlines()), "```"])


def wrapped(text: str, width: int = 130) -> str:
    """Paragraphs with lines of at most `width` letters; a table's row stays one line."""
    lines = []
    for line in text.split("\n"):
        while len(line) > width and not line.startswith(("|", "#")):
            cut = line.rfind(" ", 0, width)
            if cut <= 0:
                break
            lines.append(line[:cut])
            line = line[cut + 1 :]
        lines.append(line)
    return "\n".join(lines)
