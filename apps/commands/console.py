"""console: the pages of a project without a server, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, ProjectFile
from apps.console import console as screen
from apps.console import guarded, quiet
from apps.project import open_project
from cluster.errors import ConfigError
from cluster.ports import PortClaim

HOST = "127.0.0.1"


def console(
    project: ProjectFile = DEFAULT_PROJECT,
    port: Annotated[int, typer.Option(min=1, max=65535, help="port on 127.0.0.1")] = 8001,
) -> None:
    """Look at a project in the browser, without a server: its funnel, models and logs. Ctrl-C ends it.

    Without a project file here, what `make demo` has left in pinfunnel-demo/ is shown. A running `pinfunnel serve` has
    the same pages at /console.
    """
    if not project.exists() and project == DEFAULT_PROJECT and (Path("pinfunnel-demo") / project).exists():
        project = Path("pinfunnel-demo") / project
    with guarded():
        opened = open_project(project)
        if "://" not in opened.project.home and not (Path(opened.project.home) / "bundles" / "graph").exists():
            raise ConfigError(f"{project}: no graph is built yet: run `pinfunnel build-graph` first")
        import uvicorn

        from apps.web.standalone import ConsoleAlone

        quiet()
        with PortClaim(HOST, port, str(project.resolve())):
            alone = ConsoleAlone(opened)
            alone.watch()
            try:
                screen.print(f"pinfunnel console at http://{HOST}:{port}/console", highlight=False, soft_wrap=True)
                uvicorn.run(alone.app, host=HOST, port=port, log_level="warning", access_log=False)
            finally:
                alone.close()
