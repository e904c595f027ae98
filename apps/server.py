"""A running Serve application as the process that started it sees it: to ask each of its processes, and to stop it."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from ray import serve

from cluster import haproxy
from cluster.closed_port import ClosedPort
from cluster.errors import PinfunnelError
from serving.request.served import ServedBundles

APP = "pinfunnel"
ASKED_SECONDS = 60.0
"""A process has so long to answer; it may write a log meanwhile."""


class ProcessesMissingError(PinfunnelError):
    """Fewer processes answered than there are to be: one is starting, or was lost."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One loop for all calls of this process: Serve's handles stay with the loop that they were first used in."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="serve-handles").start()
    return loop


@dataclass(frozen=True)
class Server:
    """A running application."""

    url: str
    host: str
    port: int
    processes: int = 1  # that answer requests

    def flush(self) -> None:
        """Write the log rows that wait in any process to Parquet. A call over HTTP reaches one process only.

        Raises ProcessesMissingError.
        """
        self._each("flush")

    def served(self) -> list[ServedBundles]:
        """What each process answers with now. Raises ProcessesMissingError."""
        return self._each("served")

    def _each(self, method: str) -> list[Any]:
        async def asked() -> list[Any]:
            answers = serve.get_deployment_handle("ingress", APP).broadcast(method)
            return list(await asyncio.wait_for(answers.results_async(), ASKED_SECONDS))

        found = asyncio.run_coroutine_threadsafe(asked(), _loop()).result()
        if len(found) < self.processes:
            raise ProcessesMissingError(f"{len(found)} of {self.processes} processes of the server answer")
        return found

    def stop(self, last: bool = False) -> None:
        """Take the application down: requests under way are answered, and queued logs written.

        Serve itself stays until Ray ends, on its port: with no replica left it answers 404 to every request, which no
        client tries again. `last`: this process serves nothing more, so the port is closed first, or answers 503.
        """
        if last:
            self._close_port()
        serve.delete(APP)

    def _close_port(self) -> None:
        if haproxy.stop_listening():
            with suppress(OSError):  # a proxy holds on to it: nobody is answered then
                ClosedPort(self.host, self.port, patience=3.0)
