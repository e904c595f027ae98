"""The page of the command line, from the parser of `pinfunnel` itself."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from apps.reference.markdown import code, prose, table
from apps.reference.settings import type_words
from cluster.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHOWN_TO_ALL = {"help", "install_completion", "show_completion"}
"""Options that every command has, or that set a shell up: told once."""


def commands(app: typer.Typer) -> str:
    """A part for each command: what it does, its arguments and its options."""
    return "\n".join(_part(name, command) for name, command in _each(get_command(app), "pinfunnel"))


def _each(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, inner in sorted(below.items()):
        if not inner.hidden:
            yield from _each(inner, f"{name} {word}")


def _part(name: str, command: Any) -> str:
    told = [one for one in command.params if one.name not in SHOWN_TO_ALL and not getattr(one, "hidden", False)]
    if untold := [one.name for one in told if not getattr(one, "help", None)]:
        raise ConfigError(f"{name}: {', '.join(untold)}: has no help: write one in its typer.Option(...)")
    rows = [(_name(one), _kind(one), _default(one), plain(one.help)) for one in told]
    heads = ("argument or option", "type", "default", "what it says")
    return f"## {name}\n\n{plain(prose(command.help))}\n\n" + table(heads, rows)


def plain(text: str) -> str:
    """A help text without the markup of terminals."""
    return re.sub(r"\[/?(?:bold|dim|italic|red|green|yellow|cyan)\]", "", text).replace("\b", "")


def _name(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{one.name.upper()}`"
    return ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))


def _kind(one: Any) -> str:
    """Type and bounds; `one` is a parameter of typer's, which keeps the annotation that it was made from."""
    kind = one.type_descriptor.annotation
    several = typing.get_origin(kind) is list
    words = "switch" if getattr(one, "is_flag", False) else type_words(typing.get_args(kind)[0] if several else kind)
    words += "" if one.min is None else f", ≥ {one.min:g}"
    words += "" if one.max is None else f", ≤ {one.max:g}"
    return words + (", may be repeated" if several else "")


def _default(one: Any) -> str:
    if one.required:
        return "needed"
    value = one.default() if callable(one.default) else one.default
    if isinstance(value, Path) and value.is_absolute():
        value = value.relative_to(ROOT)  # one that ships with the package
    if getattr(one, "is_flag", False):
        return "on" if value is True else "off"
    return "none" if value is None or value in ("", (), []) else code(value)
