"""Which deployments of sources an application has: those of all clients, and of arms that run. No Ray."""

from collections.abc import Mapping
from contextlib import suppress

from cluster.errors import ConfigError
from cluster.experiments.register import Register
from cluster.settings.clients import WALK, Client
from cluster.settings.project import Project
from cluster.store.home import control_root
from serving.candidates.walk_part import part_names
from serving.experiments.plan import Plan


def source_deployments(project: Project, clients: Mapping[str, Client]) -> dict[str, tuple[str, int | None]]:
    """By name of the deployment: of which source, and of which part of the graph if any."""
    parts = part_names(list(clients.values()), project.graph.shards)
    everyone = [*clients.values(), *_in_arms(project, clients)]
    out: dict[str, tuple[str, int | None]] = {}
    for source in dict.fromkeys(name for client in everyone for name in client.sources):
        if source == WALK and parts:
            out |= {name: (WALK, at) for at, name in enumerate(parts)}
        else:
            out[source] = (source, None)
    return out


def _in_arms(project: Project, clients: Mapping[str, Client]) -> list[Client]:
    """The clients as arms of experiments that run have them; without arms that fit no client any more."""
    running = Register(control_root(project.home, project.control)).running()
    out: list[Client] = []
    for arm in Plan(running).settings():
        with suppress(ConfigError, KeyError):
            out.append(arm.applied_to(clients[arm.client]))
    return out
