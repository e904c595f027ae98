"""keys new: an API key, shown once, and the entry that the file of keys needs."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
import yaml

from apps.console import console, guarded
from cluster.contract.api_keys import digest, new_key
from cluster.settings.access import KeyFile
from cluster.settings.parsing import parse

keys_app = typer.Typer(no_args_is_help=True, help="API keys for the HTTP API.")


@keys_app.callback()
def _group() -> None:
    """API keys for the HTTP API."""


@keys_app.command("new")
def new(
    scope: Annotated[list[str], typer.Option(help="recommend, events or admin; may be repeated")],
    name: Annotated[
        str | None, typer.Option(help="what answers call it; default: its client or scope, and the day")
    ] = None,
    client: Annotated[
        list[str] | None, typer.Option(help="a client that it is for; may be repeated. Default: all")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="it ends after so many days; default: never")] = None,
    per_second: Annotated[float | None, typer.Option(help="calls a second that it is for; default: any number")] = None,
) -> None:
    """Make a key: give it to who will call, and put the lines below it into the file that `access.keys` names.

    Nothing is stored here: a key that is lost is replaced. Several may be there at once, so that callers change over
    before the old one is taken out.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    key = new_key()
    entry = {
        "name": name or "-".join([*(client or scope), f"{now:%Y%m%d}"]),
        "sha256": digest(key.encode()),
        "scopes": scope,
        "clients": client,
        "not_after": None if days is None else now + timedelta(days=days),
        "per_second": per_second,
    }
    with guarded():
        parse(KeyFile, {"keys": [entry]}, "keys new")
    told = {name: value for name, value in entry.items() if value is not None}
    lines = yaml.safe_dump({"keys": [told]}, sort_keys=False, width=1000)
    text = f"{key}\n\n# The key is above, shown this once. Its entry in the file of keys:\n{lines}"
    console.print(text, highlight=False, soft_wrap=True)
