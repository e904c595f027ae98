"""Options that several commands share, defined once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cluster.errors import ConfigError

ProjectFile = Annotated[Path, typer.Option("--project", "-p", help="the project's settings file")]
Seed = Annotated[int, typer.Option(help="the same seed draws the same")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", dir_okay=False, help="also write the figures to this file, for scripts")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", dir_okay=False, help="also write a page with tables and plots")
]
Since = Annotated[str | None, typer.Option(help="only from this moment on, like 2026-01-31 or 2026-01-31T12:00Z")]
Until = Annotated[str | None, typer.Option(help="only before this moment")]
ClientName = Annotated[str | None, typer.Option("--client", "-c", help="name of a client, like homefeed")]

DEFAULT_PROJECT = Path("pinfunnel.yaml")


def moment(text: str | None, option: str) -> datetime | None:
    """A moment in UTC from an option. Raises ConfigError naming the option."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: '{text}' is no moment; write it like 2026-01-31 or 2026-01-31T12:00Z") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
