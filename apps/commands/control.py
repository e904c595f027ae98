"""remove: what an operator orders by hand, and holds at once in whatever serves the project."""

from pathlib import Path
from typing import Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, ProjectFile
from apps.console import console, guarded
from apps.project import open_project
from cluster.errors import ConfigError, in_short

IdFile = Annotated[Path | None, typer.Option(dir_okay=False, help="text file with one id a line")]


def remove(
    pins: IdFile = None,
    boards: IdFile = None,
    undo: Annotated[bool, typer.Option("--undo", help="put them back instead")] = False,
    project: ProjectFile = DEFAULT_PROJECT,
) -> None:
    """Take pins and boards down: from the next request on they are in no answer, of any server or later graph.

    With a board go the pins that lie on no other one. Running servers need no restart. The same is
    POST /v1/pins/remove and /v1/pins/restore.

    pinfunnel remove --pins withdrawn.txt
    """
    with guarded():
        from cluster.contract.ids import IdContract
        from cluster.control.id_files import read_ids
        from cluster.control.removals import Removals
        from cluster.store.home import control_root

        if pins is None and boards is None:
            raise ConfigError("name what to remove: --pins FILE, --boards FILE, or both")
        settings = open_project(project).project
        contract = IdContract(settings.ids)
        named = [[] if file is None else read_ids(file, contract) for file in (pins, boards)]
        removals = Removals(control_root(settings.home, settings.control))
        try:
            now = removals.restore(*named) if undo else removals.remove(*named)
        except OSError as error:
            raise ConfigError(f"not stored: {in_short(error)}: run it again") from error
        console.print(f"taken down in all: {len(now.pins):,} pins, {len(now.boards):,} boards")
