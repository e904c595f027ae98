"""Opens the inputs of a project: which files each has, by the path and the column names in its settings."""

import difflib
from collections.abc import Sequence

from cluster.data.files import UNREADABLE, Found, NotPlainParquet, find_files
from cluster.data.reading import BadInput, Input
from cluster.data.schema import (
    InputColumn,
    edges_columns,
    events_columns,
    impressions_columns,
    pins_columns,
    users_columns,
)
from cluster.errors import ConfigError, PinfunnelError
from cluster.settings.project import Project, Source


def open_input(name: str, source: Source, columns: Sequence[InputColumn], given_by: str | None = None) -> Input:
    """Finds the files of one input. Raises DataError without any, ConfigError when the mapping names no column.

    `given_by` is the option that gave the path, for messages; by default it is the project's setting.
    """
    known = [c.name for c in columns]
    for twice in sorted({column for column in known if known.count(column) > 1}):
        raise ConfigError(
            f"features: {name} would have two columns named {twice!r}: name it once; to have a column of the contract "
            f"as a feature too, name the feature otherwise: `data.{name}.columns: {{own_{twice}: {twice}}}`"
        )
    for ours in source.columns:
        if ours not in known:
            near = difflib.get_close_matches(ours, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; columns are {', '.join(known)}"
            raise ConfigError(f"data.{name}.columns: {name} has no column {ours!r}{hint}")
    found = _find(name, source.path, given_by)
    return Input(name, source, tuple(columns), found.files, given_by, found.left_out)


def open_inputs(project: Project) -> dict[str, Input]:
    """The inputs that a project has, by name: `edges`, and of `contract` what else it names. Raises as `open_input`."""
    inputs, refused = open_inputs_leniently(project)
    for error in refused.values():
        raise error
    return inputs


def contract(project: Project) -> dict[str, list[InputColumn]]:
    """The columns of every input that a project may have, by name."""
    return {
        "edges": edges_columns(project.ids),
        "pins": pins_columns(project.ids, project.features, project.attributes),
        "users": users_columns(project.ids, project.features),
        "events": events_columns(project.ids),
        "impressions": impressions_columns(project.ids),
    }


def open_inputs_leniently(project: Project) -> tuple[dict[str, Input], dict[str, PinfunnelError]]:
    """The inputs that could be opened, and for each of the others why not."""
    inputs: dict[str, Input] = {}
    refused: dict[str, PinfunnelError] = {}
    for name, columns in contract(project).items():
        source = getattr(project.data, name)
        if source is not None:
            try:
                inputs[name] = open_input(name, source, columns)
            except PinfunnelError as error:
                refused[name] = error
    return inputs, refused


def _find(name: str, path: str, given_by: str | None) -> Found:
    setting = f"`{given_by}`" if given_by else f"`data.{name}.path` in pinfunnel.yaml"
    try:
        found = find_files(path)
    except FileNotFoundError:
        fix = f"set {setting} to a Parquet file or folder"
        raise BadInput(name, path, "does not exist", fix) from None
    except UNREADABLE as error:
        fix = f"correct {setting}, or who may read it"
        raise BadInput(name, path, f"cannot be opened ({' '.join(str(error).split())[:200]})", fix) from None
    except NotPlainParquet as error:
        what, _, fix = str(error).partition(": ")
        raise BadInput(name, path, what, fix) from None
    if not found.files:
        there = f" (there are {len(found.left_out)} other files, like {found.left_out[0]})" if found.left_out else ""
        fix = f"write some, or correct {setting}"
        raise BadInput(name, path, f"holds no Parquet files (*.parquet){there}", fix)
    return found
