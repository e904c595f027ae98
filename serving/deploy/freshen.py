"""One process's look for fresh pins: a graph with all that the log has is made ready aside, and swapped in."""

import logging
import time
from collections.abc import Callable

from cluster.catalog.catalog import Catalog
from serving.request.catalogs import Catalogs
from serving.request.served import ServingProblem

log = logging.getLogger(__name__)


class Freshener:
    """One thread looks; any thread may ask for `problems`."""

    def __init__(
        self,
        catalogs: Catalogs,
        serve: Callable[[Catalog], None],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`serve` warms a catalog and makes it the one that new requests use; `seconds` from one look to the next."""
        self._catalogs = catalogs
        self._serve = serve
        self._seconds = seconds
        self._clock = clock
        self._next = clock()

    def look(self) -> bool:
        """Whether another catalog serves now. Raises nothing: the present one serves on."""
        if self._clock() < self._next:
            return False
        try:
            newer = self._catalogs.fresher()
            if newer is not None:
                self._serve(newer)
        except Exception:
            log.exception("fresh pins cannot be served; the present ones go on serving")
            newer = None
        self._next = self._clock() + self._seconds
        return newer is not None

    def problems(self) -> tuple[ServingProblem, ...]:
        """Why rows of the log are not served."""
        reason = self._catalogs.waiting
        if not reason:
            return ()
        return (ServingProblem("fresh", "pins", reason, serving=self._catalogs.serving),)
