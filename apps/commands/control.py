"""remove, forget: what is ordered by hand, and holds at once in whatever serves the project."""

from pathlib import Path
from typing import Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, ProjectFile
from apps.console import console, guarded
from apps.project import Opened, open_project
from cluster.errors import ConfigError, in_short

SHOWN = 10
"""Bad lines that are named."""
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
        (named_pins, bad_pins), (named_boards, bad_boards) = (
            ([], []) if file is None else read_ids(file, contract) for file in (pins, boards)
        )
        removals = Removals(control_root(settings.home, settings.control))
        try:
            order = removals.restore if undo else removals.remove
            now = order(named_pins, named_boards)
        except OSError as error:
            raise ConfigError(f"not stored: {in_short(error)}: run it again") from error
        console.print(f"taken down in all: {len(now.pins):,} pins, {len(now.boards):,} boards")
        if _print_bad_lines([*bad_pins, *bad_boards]):
            raise typer.Exit(1)


def forget(
    user: Annotated[list[str] | None, typer.Option(help="id of a user; may be given several times")] = None,
    users: IdFile = None,
    verify: Annotated[bool, typer.Option(help="search every byte below `home` for them afterwards")] = True,
    project: ProjectFile = DEFAULT_PROJECT,
) -> None:
    """Remove users from logs, state, choices and graphs, in servers that run and on disk; and prove it by a search.

    What comes later of the same ids is that of new users. Killed half way, run it again. Without any user it removes
    again who was forgotten before, after an old backup was put back, say. Exit code 1 when something is left.

    pinfunnel forget --user 7
    """
    with guarded():
        from cluster.contract.ids import IdContract
        from cluster.control.id_files import read_id, read_ids
        from serving.deploy.forget import forget_users

        opened = open_project(project)
        contract = IdContract(opened.project.ids)
        named = [read_id(each, contract) for each in user or []]
        listed, bad = ([], []) if users is None else read_ids(users, contract)
        named += listed
        process = opened.new_process()
        try:
            done = forget_users(process, named)
        except OSError as error:
            raise ConfigError(f"not all is removed yet: {in_short(error)}: run it again") from error
        console.print(f"removed: {done.rows:,} rows from {done.files:,} files of the logs", highlight=False)
        console.print(f"  {len(done.graphs):,} graphs replaced by versions without them", highlight=False)
        for path in done.unreadable:
            console.print(f"  {path} is damaged: delete it, as nobody can tell what it holds", soft_wrap=True)
        if models := [kind for kind in process.store.kinds() if kind != "graph"]:
            console.print(f"models that learned from their actions, without any id: {', '.join(models)}")
            console.print("  to be rid of that too, train them again, and build the graph again for its rates")
        everyone = list(dict.fromkeys([*named, *map(process.pseudonyms.of, named)]))
        left = _print_left(opened, everyone) if verify else 0
        if _print_bad_lines(bad) or left or done.unreadable:
            raise typer.Exit(1)


def _print_bad_lines(bad: list[str]) -> int:
    """Prints the lines of a file that are no ids; how many. All others were taken."""
    if bad:
        console.print(f"LEFT OUT: {len(bad):,} lines that are no ids", highlight=False)
    for line in bad[:SHOWN]:
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    return len(bad)


def _print_left(opened: Opened, users: list[int | str]) -> int:
    """Prints where the users still are; in how many files of ours."""
    from cluster.control.search import Needle, search
    from cluster.settings.project import DataSettings, Source
    from cluster.store.home import control_root

    project = opened.project
    ours = sorted({Path(project.local_home), Path(control_root(project.home, project.control))})
    inputs = [getattr(project.data, name) for name in DataSettings.model_fields]
    yours = [Path(source.path) for source in inputs if isinstance(source, Source)]
    left = 0
    if project.local is not None:
        console.print(f"not searched byte by byte, only swept: {project.home}", highlight=False, soft_wrap=True)
    for user in users:
        for found in search([path for path in ours if path.exists()], user):
            console.print(f"  LEFT: {found}", highlight=False, soft_wrap=True)
            left += 1
        for found in search([path for path in yours if path.exists()], user):
            console.print(f"  an input of yours, so the next build knows the user again: {found}", soft_wrap=True)
        how = "every byte" if Needle(user).distinct else "columns and fields of users; the id is too short for bytes"
        console.print(f"searched below {', '.join(map(str, ours))}: {how}", highlight=False, soft_wrap=True)
    return left
