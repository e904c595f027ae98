"""The console of a project without a server: the funnel over its bundles in this process, and the files of its logs.

It writes nothing: no request is logged, and users' events are read where a server on this machine keeps them.
"""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route

from apps.project import Opened
from apps.web.app import console_app
from cluster import kinds
from cluster.control.choices import Choices
from cluster.control.forgotten import Forgotten
from cluster.store.home import control_root
from serving.deploy.process import Process
from serving.http.admission import Admission
from serving.http.answering import Answering
from serving.http.auth import Authorizer
from serving.http.figures import Figures
from serving.http.hosts import KnownNames
from serving.http.inside import CONSOLE, Inside
from serving.http.limits import BodyLimit
from serving.http.users import Events
from serving.logs.health import LogHealth
from serving.logs.receipt import Receipt
from serving.logs.shard import shard_of
from serving.request.ask import Id, ShownPins, UserState
from serving.request.served import ServedBundles

ALL_AT_ONCE = 1 << 10


class ReadEvents(Events):
    """What a server on this machine has written of users; nobody can store events here."""

    def __init__(self, process: Process):
        self._readers = [process.state_reader(shard) for shard in process.shards]
        self._names = process.pseudonyms

    async def append(self, events: list[dict[str, Any]]) -> Receipt:
        """Never: raises OSError."""
        raise OSError("a console alone stores no events")

    async def at_hand(self, user_id: Id | None, seconds: float, old: bool = False) -> UserState | None:
        """What is known, however old."""
        if user_id is None:
            return UserState()
        named = self._names.of(user_id)
        reader = self._readers[shard_of(named, len(self._readers))]
        return reader.of(named, stale=True) or UserState()

    async def state(self, user_id: Id | None) -> UserState:
        """The same."""
        return await self.at_hand(user_id, 0.0) or UserState()

    def shown(self, user_id: Id, answer: ShownPins) -> None:
        """Nobody was shown anything."""

    async def health(self) -> LogHealth:
        """Nothing."""
        return LogHealth({}, ())

    async def flush(self) -> int:
        """Nothing."""
        return 0


def _authorizer(opened: Opened) -> Authorizer:
    """By the project's file of keys, if it names one. Keys from the environment are none of the scope `admin`."""
    clients = {name: one.model_copy(update={"api_key_env": None, "open": True}) for name, one in opened.clients.items()}
    return Authorizer(opened.project.access, clients)


class ConsoleAlone:
    """`app` serves the console to this machine only; to holders of an `admin` key where the project has a file."""

    def __init__(self, opened: Opened):
        """Raises BundleError when no graph can be served."""
        self._process = process = opened.new_process()
        self._watcher = process.watcher()
        self._watcher.poll()
        self._watcher.require(kinds.GRAPH)
        project = opened.project
        control = control_root(project.home, project.control)
        answering = Answering(
            process.live_funnel,
            Admission(ALL_AT_ONCE, 60.0),
            ReadEvents(process),
            Choices(control),
            Forgotten(control),
        )
        self.inside = Inside(
            project,
            opened.clients,
            answering,
            _authorizer(opened),
            self._served,
            self._logs,
            lambda: 0,
            Figures(),
            serves=False,
        )
        made = Starlette(
            routes=[
                Route("/", lambda _: RedirectResponse(f"{CONSOLE}/", 303)),
                Mount(CONSOLE, console_app(process, self.inside)),
            ]
        )
        self.app = KnownNames(BodyLimit(made, project.serving.body_bytes))

    def watch(self) -> None:
        """Follow what is published from now on, until `close`."""
        self._watcher.start()

    def close(self) -> None:
        """End the watching."""
        self._watcher.stop()

    async def _served(self) -> ServedBundles:
        return self._watcher.bundles()

    async def _logs(self) -> Mapping[str, LogHealth]:
        return {}
