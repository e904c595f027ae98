"""Opens a user's project: pinfunnel.yaml and the client files it names, or the five that ship."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import ConfigError
from cluster.settings.clients import Client, load_clients
from cluster.settings.own_actions import fitted, said
from cluster.settings.parsing import parse
from cluster.settings.project import Project

if TYPE_CHECKING:
    from serving.deploy.process import Process

log = logging.getLogger(__name__)

SHIPPED_CLIENTS = Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Opened:
    """A project with its clients."""

    project: Project
    clients: dict[str, Client]

    def check_clients(self) -> None:
        """Raises ConfigError when a client names labels, policy steps or features that the project does not have."""
        from serving.policy.checks import check_clients  # numba loads only for settings that hold by themselves

        check_clients(self.clients, self.project.features)

    def new_process(self) -> "Process":
        """The parts of a process that works on this project, none opened yet; torch and XGBoost load only now."""
        from serving.deploy.process import Process

        return Process(self.project, self.clients)


def project_of(written: Mapping[str, Any]) -> Opened:
    """The project that `{settings: …, clients: {name: …}}` tells, as a Serve config does. Raises ConfigError."""
    if set(written) != {"settings", "clients"} or not all(isinstance(part, dict) for part in written.values()):
        raise ConfigError("project: expected a path, or `settings` and `clients` as `pinfunnel deploy` writes them")
    project = parse(Project, written["settings"], "project.settings")
    clients = {n: parse(Client, client, f"project.clients.{n}") for n, client in written["clients"].items()}
    return _checked(Opened(project, clients))


def open_project(path: str | Path) -> Opened:
    """Load and check a project. Raises ConfigError with file, key and fix."""
    project = Project.load(path)
    if project.clients is not None:
        clients = load_clients(project.clients, project.actions)
    else:
        shipped = load_clients(SHIPPED_CLIENTS)
        clients = {n: fitted(c, project.actions, project.negative_actions) for n, c in shipped.items()}
        if line := said(project.actions, project.negative_actions):
            log.warning(line)
    return _checked(Opened(project, clients))


def _checked(opened: Opened) -> Opened:
    from training.full.plan import check_ranker
    from training.lightweight.strategies.registry import check_strategies  # NumPy loads only for a file that parses

    check_strategies(opened.clients)
    check_ranker(opened.project)
    return opened


def pick_clients(opened: Opened, name: str | None) -> dict[str, Client]:
    """One client by name, or all. Raises ConfigError for an unknown name."""
    if name is None:
        return opened.clients
    if name not in opened.clients:
        raise ConfigError(f"--client: unknown client '{name}'; clients: {', '.join(sorted(opened.clients))}")
    return {name: opened.clients[name]}
