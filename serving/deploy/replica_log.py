"""Where a replica's lines of log go: into Serve's own log, as JSON, each with the id of its request. No decision.

Serve's JSON lines have `request_id`, `deployment` and `replica`; ours get them by going the same way.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler

from serving.http.request_lines import is_told
from serving.request.ask import WalkAsk

SERVE = "ray.serve"
OURS = ("cluster", "training", "serving")
log = logging.getLogger(__name__)


def join_serve_log() -> None:
    """Hand all that this process logs to Serve's handlers, whichever those are at the time."""
    for name in OURS:
        logging.getLogger(name).parent = logging.getLogger(SERVE)


def flush_serve_log() -> None:
    """Write what Serve holds back: up to 1000 lines below ERROR (RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE)."""
    for handler in logging.getLogger(SERVE).handlers:
        if isinstance(handler, MemoryHandler):
            handler.flush()


class StageLog:
    """One stage's lines about the requests of the sample."""

    def __init__(self, stage: str, share: float):
        self._stage = stage
        self._share = share

    @contextmanager
    def of(self, ask: WalkAsk) -> Iterator[None]:
        """Around the stage's work for one request."""
        if not is_told(ask.seed, self._share):
            yield
            return
        began = time.perf_counter()
        ended = "failed"
        try:
            yield
            ended = "done"
        finally:
            milliseconds = round(1e3 * (time.perf_counter() - began), 2)
            log.info(
                "stage",
                extra={"stage": self._stage, "client": ask.client, "outcome": ended, "milliseconds": milliseconds},
            )
