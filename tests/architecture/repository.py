"""What the tests beside it look at: the checkout's folders, modules, pages and import rules. Checks nothing itself."""

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FLOORS = ("cluster", "training", "serving", "apps")


def modules(*tops: str) -> list[Path]:
    """Every Python file below the named top folders (default: the four floors), relative to the root."""
    found = [path for top in tops or FLOORS for path in (ROOT / top).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in found)


def folders(top: str) -> set[str]:
    """The folder `top` and those below it that hold files; caches that a move left behind are none."""
    paths = [path for path in (ROOT / top).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    parents = {parent for path in paths for parent in path.relative_to(ROOT).parents}
    return {parent.as_posix() for parent in parents if parent.is_relative_to(top)}


def rooms(floor: str) -> set[str]:
    """Packages directly below a floor, as import names (`serving.policy`)."""
    return {f"{floor}.{path.parent.name}" for path in (ROOT / floor).glob("*/__init__.py")}


def pages() -> list[Path]:
    """Every page that a reader may open, relative to the root."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "cluster").rglob("*.md")]
    return sorted(path.relative_to(ROOT) for path in found)


@cache
def contracts() -> list[dict[str, Any]]:
    """The import rules of pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(settings["tool"]["importlinter"]["contracts"])


def layered(floor: str) -> list[str]:
    """The modules and rooms that the floor's layers name, top first, neighbours apart."""
    names: list[str] = []
    for contract in contracts():
        if contract["type"] == "layers":
            names += [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    return [name for name in names if name.startswith(f"{floor}.")]


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Lines of a page outside code blocks, with their numbers from 1."""
    fenced = False
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line
