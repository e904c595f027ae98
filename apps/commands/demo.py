"""demo: the whole loop on one machine, in one command."""

from pathlib import Path
from typing import Annotated

import typer

from apps.commands.options import JsonFile
from apps.console import console, guarded, quiet, write_json


def demo(
    folder: Annotated[Path, typer.Option(help="where its data, bundles, logs and report go")] = Path("pinfunnel-demo"),
    seed: Annotated[int, typer.Option(help="another seed is another world")] = 0,
    out: JsonFile = None,
) -> None:
    """Watch the loop close: build a world, serve it cold, log, train, hot-swap, and compare on held-out users."""
    from cluster import session

    session.set_flags()
    from apps.demo.demo import run

    with guarded():
        quiet()
        result = run(folder, seed=seed, console=console)
        write_json(out, result.as_json())
