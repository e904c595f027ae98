"""Generated pages are what the code says now, and leave nothing out."""

from typing import Annotated, Literal

import pytest
import typer
from pydantic import Field

from apps.reference.commands import commands
from apps.reference.http import document
from apps.reference.pages import pages
from apps.reference.settings import default, kind, markdown
from cluster.errors import ConfigError
from cluster.settings.parsing import Settings
from tests.architecture.repository import ROOT

FOLDER = ROOT / "docs" / "reference"


class Inner(Settings):
    """A section."""

    rate: float = Field(0.5, gt=0, le=1, description="share | of all")


class Outer(Settings):
    """A file."""

    first: Inner = Field(Inner(), description="the one")
    more: dict[str, Inner] = Field({}, description="others, by name")
    names: tuple[str, ...] = Field((), min_length=1, description="of people")
    size: Literal["small", "large"] | None = Field(None, description="default: what fits")
    steps: int = Field(1000, ge=1, le=5_000_000, description="how many")


def test_the_committed_pages_are_what_the_code_says() -> None:
    made = pages()
    stale = [name for name, text in made.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text]
    assert stale == [], "settings, commands or routes changed: `python -m apps.reference` writes these pages again"
    assert {path.name for path in FOLDER.iterdir()} == set(made)


def test_a_key_has_its_type_bounds_default_and_meaning() -> None:
    text = "\n".join(markdown(Outer))
    assert "| `steps` | whole number, ≥ 1, ≤ 5,000,000 | `1000` | how many |" in text
    assert "| `names` | list of text, at least 1 | none | of people |" in text
    assert "| `size` | `small` or `large` |  | default: what fits |" in text
    assert "| `rate` | number, > 0, ≤ 1 | `0.5` | share \\| of all |" in text
    assert "## `more.NAME`\n\nOthers, by name. The same keys as [`first`](#first)." in text


def test_a_setting_without_a_description_is_an_error() -> None:
    class Untold(Settings):
        """A file."""

        key: int = 0

    with pytest.raises(ConfigError, match=r"Untold\.key has no description"):
        list(markdown(Untold))


def test_a_key_without_a_default_is_needed() -> None:
    class Path(Settings):
        path: str = Field(description="of the file")

    assert default(Path.model_fields["path"]) == "needed"
    assert kind(Path.model_fields["path"]) == "text"


def test_a_command_tells_its_arguments_and_options() -> None:
    app = typer.Typer()

    @app.command()
    def one(
        name: Annotated[str, typer.Argument(help="who")],
        times: Annotated[int, typer.Option(min=1, help="how often")] = 3,
        loud: Annotated[bool, typer.Option("--loud", help="as a shout")] = False,
    ) -> None:
        """Greet.

        pinfunnel one ann --times 2
        """

    @app.command()
    def two() -> None:
        """Leave."""

    text = commands(app)
    assert "## pinfunnel one\n\nGreet.\n\n```\npinfunnel one ann --times 2\n```" in text
    assert "| `NAME` | text | needed | who |" in text
    assert "| `--times` | whole number, ≥ 1 | `3` | how often |" in text
    assert "| `--loud` | switch | off | as a shout |" in text
    assert text.endswith("## pinfunnel two\n\nLeave.\n\n")


def test_an_option_without_help_is_an_error() -> None:
    app = typer.Typer()

    @app.command()
    def one(times: int = 3) -> None:
        """Greet."""

    with pytest.raises(ConfigError, match=r"pinfunnel: times: has no help"):
        commands(app)


def test_every_type_that_the_openapi_document_names_is_in_it() -> None:
    api = document()
    named: set[str] = set()

    def look(value: object) -> None:
        if isinstance(value, dict):
            named.update(str(value["$ref"]).rsplit("/", 1)[-1] for _ in [0] if "$ref" in value)
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(api)
    assert "Event" in named
    assert named <= set(api["components"]["schemas"])
