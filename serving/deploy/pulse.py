"""A thread that does a few small things every few seconds: metrics that need a look, and lines of log that wait."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

SECONDS = 2.0


class Pulse:
    """Calls what was added, in turn; one that fails keeps no other from its turn."""

    def __init__(self, seconds: float = SECONDS):
        self._seconds = seconds
        self._calls: list[Callable[[], object]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def add(self, call: Callable[[], object]) -> None:
        """Called from now on."""
        self._calls.append(call)

    def beat(self) -> None:
        """Call each once."""
        for call in list(self._calls):
            try:
                call()
            except Exception:
                log.exception("a metric or a log could not be brought up to date")

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self.beat()

    def close(self) -> None:
        """A last beat, and the end of the thread."""
        self._stop.set()
        self._thread.join(timeout=5)
        self.beat()
