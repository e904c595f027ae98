"""Which pages are generated, from what, and what stands above each."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from apps.reference.markdown import wrapped
from cluster.progress import Progress, silent

MADE = "Generated from the code by `make docs`: do not edit."


def pages() -> Mapping[str, str]:
    """File name → text of every generated page."""
    from apps.cli import app
    from apps.plan.machines import MachineList
    from apps.reference.commands import commands
    from apps.reference.http import document, endpoints
    from apps.serve import FunnelArgs
    from cluster.experiments.definition import Experiment
    from cluster.settings.access import KeyFile
    from cluster.settings.clients import Client
    from cluster.settings.project import Project

    found = {
        "commands.md": _page(
            "Command line",
            "What `pinfunnel` can be asked to do. `--help` behind any command says the same. Exit status 0 is success, "
            "1 an error that is told in a line, 2 a command that cannot be read.",
            commands(app),
        ),
        "settings.md": _file(
            "Settings of a project",
            "The keys of `pinfunnel.yaml`. Only `data.edges.path` is needed; an unknown key is an error that names the "
            "nearest known one. [Data](../data.md) says what the files hold; [clients](client.md) have a file each.",
            Project,
        ),
        "client.md": _file(
            "Settings of a client",
            "The keys of a client's file in the folder that `clients` of `pinfunnel.yaml` names. All have a default; "
            "[how to add a client](../clients.md) has examples.",
            Client,
        ),
        "other-files.md": _page(
            "Other files",
            "The keys of what is neither `pinfunnel.yaml` nor a client.",
            "\n".join(
                f"# {title}\n\n{about}\n{_sections(model, '##')}"
                for title, about, model in (
                    (
                        "Experiments",
                        "Each entry of `experiments.yaml`, by name ([experiments on users](../experimenting.md)).",
                        Experiment,
                    ),
                    ("Keys", "The file that `access.keys` names: who may call ([security](../security.md)).", KeyFile),
                    ("Serve application", "`args` of `apps/serve.yaml` ([cluster](../cluster.md)).", FunnelArgs),
                    ("Machines", "What `plan` chooses from ([capacity](../capacity.md)).", MachineList),
                )
            ),
        ),
        "http.md": _page(
            "HTTP API",
            "Every call, and the types of bodies and answers, as a server's own `/docs` and `/openapi.json` tell them. "
            "What a status means and what to do: [operations](../operations.md#http).",
            endpoints(document()),
        ),
    }
    return found


def write(folder: Path, told: Progress = silent) -> None:
    """Write every page that differs from what is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            told(name, 1.0)


def _page(title: str, about: str, body: str) -> str:
    text = f"# {title}\n\n{about}\n\n<!-- {MADE} -->\n\n{_lower(body)}"
    return wrapped(text).rstrip() + "\n"


def _file(title: str, about: str, model: type[BaseModel]) -> str:
    return _page(title, about, _sections(model, "##"))


def _sections(model: type[BaseModel], level: str) -> str:
    from apps.reference.settings import markdown

    return "\n".join(markdown(model, level))


def _lower(body: str) -> str:
    """A page has one title: what is a title within the body becomes a heading, and its headings smaller ones."""
    if not any(line.startswith("# ") for line in body.splitlines()):
        return body
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in body.splitlines())
