"""Lines of log about single requests: a sample where that is asked for, and what went wrong. Knows nothing of Ray.

No line names a user, a key or a body. Serve adds its `request_id`, the caller's `x-request-id`, to each of them, here
and in every stage; `answer` is the `request_id` of the answer and of the serving log.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from serving.request.answer import Answer

log = logging.getLogger(__name__)

WINDOW = 10.0
MOST_LINES = 20
"""Of what went wrong in `WINDOW` seconds: a fault that every request has must not cost more than the requests."""
PRIMES = 1_000_003


def is_told(seed: int, share: float) -> bool:
    """Whether a request belongs to the sample; its seed decides, so that every stage says the same."""
    return seed % PRIMES < share * PRIMES


class Throttle:
    """Lets so many lines pass in a window, and says with the next one how many it has kept back."""

    def __init__(self, most: int = MOST_LINES, window: float = WINDOW, clock: Callable[[], float] = time.monotonic):
        self._most = most
        self._window = window
        self._clock = clock
        self._until = 0.0
        self._passed = 0
        self._kept_back = 0

    def line(self, level: int, message: str, told: Mapping[str, Any]) -> None:
        """Write the line, or count it."""
        now = self._clock()
        if now >= self._until:
            self._until = now + self._window
            self._passed = 0
        if self._passed >= self._most:
            self._kept_back += 1
            return
        self._passed += 1
        kept_back = {"kept_back": self._kept_back} if self._kept_back else {}
        self._kept_back = 0
        log.log(level, message, extra={**told, **kept_back})


class RequestLines:
    """Of one ingress."""

    def __init__(self, share: float, throttle: Throttle | None = None):
        """`share` of requests get a line each, whatever becomes of them."""
        self._share = share
        self._throttle = throttle or Throttle()

    def answered(self, answer: Answer, request_id: str, milliseconds: float) -> None:
        """A line for an answer of the sample, and for one that lacks something."""
        about = {"client": answer.ask.client, "answer": request_id, "milliseconds": round(milliseconds, 2)}
        if lacks := told_faults(answer):
            self._throttle.line(logging.WARNING, "an answer lacks something", {**about, "lacks": lacks})
        if is_told(answer.ask.seed, self._share):
            stages = {stage.stage: round(stage.milliseconds, 2) for stage in answer.stages}
            log.info("answered", extra={**about, "pins": len(answer.shown), "stages": stages})

    def failed(self, path: str, status: int, why: str) -> None:
        """A request that got no answer, by its route."""
        self._throttle.line(logging.ERROR, "a request got no answer", {"path": path, "status": status, "why": why})


def told_faults(answer: Answer) -> list[str]:
    """What it lacks, without what is said of the query pins that the request itself named."""
    return [fault for fault in answer.faults if not fault.startswith("candidates: ")]
