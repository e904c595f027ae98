"""Commands that pages print can be typed: `pinfunnel …` is parsed by the real command line, `make …` is a target."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from apps.cli import app
from apps.commands.bench import benches
from tests.architecture.repository import ROOT, pages

FENCE = re.compile(r"^ *```")
INLINE = re.compile(r"`((?:pinfunnel|make) [^`]+)`")
STARTS = re.compile(r"(?:^|&&|;|\||['\"]) *(?:\$ +)?(?:[A-Z_]+=\S+ +)*((?:pinfunnel|make) [^#&|;]*)")
PLACEHOLDER = re.compile(r"[A-Z_]+|<\w+>|…|\.\.\.")


def code_lines(text: str) -> list[str]:
    """Lines of fenced and indented blocks."""
    found, fenced = [], False
    for line in text.splitlines():
        if FENCE.match(line):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            found.append(line.strip())
    return found


def in_blocks(text: str) -> list[str]:
    """Commands that a reader may copy from a page's blocks."""
    return [unquoted(command.strip()) for line in code_lines(text) for command in STARTS.findall(line)]


def unquoted(command: str) -> str:
    """Without the quotation mark that closes what began before the command."""
    last = command[-1]
    return command[:-1] if last in "'\"" and command.count(last) % 2 else command


def in_prose(text: str) -> list[str]:
    """Commands that a page names in a sentence; they may lack what a block would not."""
    return INLINE.findall(re.sub(r"```.*?```", "", text, flags=re.S))


def fault(line: str, whole: bool = True) -> str:
    """Why `pinfunnel …` could not be typed so; empty when it could. `whole`: what is required must be there."""
    words = shlex.split(line)[1:]
    command: Any = get_command(app)
    context = typer.Context(command)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
        context = typer.Context(command, parent=context, info_name=name)
    try:
        given, rest, _ = command.make_parser(context).parse_args(args=list(words))
    except Exception as error:  # typer carries click within itself and does not export its errors
        unfinished = "requires an argument" in str(error) and not whole
        return "" if unfinished else str(error) or type(error).__name__
    if rest and not hasattr(command, "commands"):
        return f"more words than the command takes: {rest}"
    missing = [each.name for each in command.params if each.required and not given.get(each.name)]
    if whole and missing and "--help" not in words:
        return f"lacks {missing}"
    bench = given.get("name") if command.name == "bench" else None
    return "" if not bench or PLACEHOLDER.fullmatch(bench) or bench in benches() else f"no benchmark {bench!r}"


def target(line: str) -> str:
    """The target of `make …`."""
    return next((word for word in shlex.split(line)[1:] if "=" not in word and not word.startswith("-")), "help")


def commands(tool: str) -> list[tuple[Path, str, bool]]:
    """Page, command, and whether it stands in a block, of every command of a tool."""
    found = []
    for page in pages():
        text = (ROOT / page).read_text()
        found += [(page, line, True) for line in in_blocks(text) if line.startswith(f"{tool} ")]
        found += [(page, line, False) for line in in_prose(text) if line.startswith(f"{tool} ")]
    return found


def test_printed_commands_can_be_typed() -> None:
    wrong = [(str(page), line, why) for page, line, whole in commands("pinfunnel") if (why := fault(line, whole))]
    assert wrong == []


def test_printed_targets_are_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert [(str(page), line) for page, line, _ in commands("make") if target(line) not in targets] == []


def test_the_readme_prints_commands() -> None:
    assert len([line for page, line, whole in commands("pinfunnel") if whole and page.name == "README.md"]) >= 7


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pinfunnel wlak --pin 1", "no command 'wlak'"),
        ("pinfunnel train lightweigth --all", "no command 'lightweigth'"),
        ("pinfunnel walk --pins 1", "--pins"),
        ("pinfunnel walk --steps 5", "lacks ['pin']"),
        ("pinfunnel validate mine.yaml", "more words"),
        ("pinfunnel bench nothing", "no benchmark 'nothing'"),
        ("pinfunnel bench NAME --json OUT", ""),
        ("pinfunnel train lightweight --client homefeed", ""),
        ("pinfunnel --version", ""),
    ],
)
def test_what_cannot_be_typed_is_seen(line: str, says: str) -> None:
    assert says in fault(line)
    assert bool(says) == bool(fault(line))


def test_commands_are_found_where_pages_put_them() -> None:
    text = (
        "    pinfunnel train full && pinfunnel serve   # and so on\n"
        "```\nray exec c.yaml 'cd x && RAY_ADDRESS=auto pinfunnel build-graph'\n$ pinfunnel walk --pin 'a b'\n```\n"
        "Then `pinfunnel validate` says so.\n"
    )
    found = ["pinfunnel train full", "pinfunnel serve", "pinfunnel build-graph", "pinfunnel walk --pin 'a b'"]
    assert in_blocks(text) == found
    assert in_prose(text) == ["pinfunnel validate"]
