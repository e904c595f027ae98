"""A Serve config file with the project written into it, so that no node needs the project's files.

`serve deploy` sends a config as it is, and the path in it is read by whichever node builds the application: a file that
only one node has, or that lies elsewhere there, fails the deployment. `pinfunnel deploy` reads it here.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from apps.project import Opened, open_project
from cluster.errors import ConfigError
from cluster.settings.parsing import read_yaml

BUILDER = "apps.serve:build"


def inlined(path: Path, project: Path | None = None) -> tuple[dict[str, Any], Opened]:
    """The Serve config of `path`, as a mapping with the settings of its project, and the project itself.

    The project file is `project`, else what the config names, which is relative to the folder that the command runs in.
    Raises ConfigError, also for what Ray Serve would refuse.
    """
    config = read_yaml(path)
    args = arguments_of(config, path)
    opened = open_project(project or args.get("project", "pinfunnel.yaml"))
    args["project"] = settings_of(opened)
    _check(config, path)
    return config, opened


def arguments_of(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """The arguments of the one application of ours, in place. Raises ConfigError."""
    ours = [
        app for app in config.get("applications") or () if isinstance(app, dict) and app.get("import_path") == BUILDER
    ]
    if len(ours) != 1:
        raise ConfigError(f"{path}: applications: {len(ours)} with `import_path: {BUILDER}`, expected one")
    args = ours[0].setdefault("args", {})
    if not isinstance(args, dict):
        raise ConfigError(f"{path}: args: expected a mapping, found {type(args).__name__}")
    return args


def _check(config: dict[str, Any], path: Path) -> None:
    from ray.serve.schema import ServeDeploySchema

    from apps.serve import FunnelArgs

    try:
        ServeDeploySchema.model_validate(config)
        FunnelArgs.model_validate(arguments_of(config, path))
    except ValidationError as error:
        told = [f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError("\n".join(told)) from None


def settings_of(opened: Opened) -> dict[str, Any]:
    """What `project_of` makes the same project of: JSON-able, with absolute paths."""
    return {
        "settings": json.loads(opened.project.model_dump_json()),
        "clients": {name: json.loads(client.model_dump_json()) for name, client in opened.clients.items()},
    }
