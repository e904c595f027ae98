"""What an application that is mounted beside the API, the console, may see of an ingress and ask of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp

from cluster.settings.clients import Client
from cluster.settings.project import Project
from serving.http.answering import Answering
from serving.http.auth import Authorizer
from serving.http.figures import Figures
from serving.logs.health import LogHealth
from serving.request.served import ServedBundles

CONSOLE = "/console"
"""Where it is mounted."""


@dataclass(frozen=True)
class Inside:
    """Of one ingress process."""

    project: Project
    clients: Mapping[str, Client]
    answering: Answering
    authorizer: Authorizer
    served: Callable[[], Awaitable[ServedBundles]]
    logs: Callable[[], Awaitable[Mapping[str, LogHealth]]]
    waiting: Callable[[], int]  # requests that wait for their turn
    figures: Figures
    ranks: bool = True  # whether this process computes features itself, and knows how they drift
    serves: bool = True  # False: nothing is served here, so there is nothing to count


Mounted = Callable[[Inside], ASGIApp]
"""Makes the application."""
