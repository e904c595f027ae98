"""Hot swap: a thread that watches bundle pointers, loads a new version aside, and lets its owner swap one reference.

Traffic never waits for a load, a bundle that fails to load leaves the old one serving, and no kind waits for another's.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cluster.errors import BundleError
from cluster.store.bundles import BundleStore
from serving.deploy.follow import Follower
from serving.request.served import ServedBundles, ServingProblem

log = logging.getLogger(__name__)


class Looks(Protocol):
    """What else a process follows."""

    def look(self) -> object:
        """Take what is new. Raises nothing."""
        ...

    def problems(self) -> tuple[ServingProblem, ...]:
        """What cannot be taken."""
        ...


class Watcher:
    """Calls `load(version)` of a kind whenever that kind's pointer names another version."""

    def __init__(
        self,
        store: BundleStore,
        loaders: Mapping[str, Callable[[str], None]],
        seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        behind: Sequence[Looks] = (),
    ):
        """`seconds` between looks; `clock` times the tries of versions that were set aside.

        `behind` them looks whatever else is followed, as what is laid over the graph.
        """
        self._behind = behind
        self._followers = [Follower(store, kind, load, clock) for kind, load in loaders.items()]
        self._seconds = seconds
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.told: Callable[[ServedBundles], None] = lambda _: None
        """Called after every look, for metrics."""

    def poll(self) -> list[str]:
        """Look once; returns the kinds that were swapped."""
        with self._lock:
            swapped = [follower.kind for follower in self._followers if follower.look()]
            for each in self._behind:
                each.look()
        self.told(self.bundles())
        return swapped

    def bundles(self) -> ServedBundles:
        """What serves now, and what was set aside. Never waits for a load."""
        versions = {follower.kind: follower.serving for follower in self._followers}
        return ServedBundles(versions, self.problems())

    def problems(self) -> tuple[ServingProblem, ...]:
        """Of all kinds."""
        return tuple(problem for each in (*self._followers, *self._behind) for problem in each.problems())

    def require(self, kind: str) -> None:
        """Raises BundleError, with all that was tried, when no version of `kind` serves."""
        if any(follower.kind == kind and follower.serving is not None for follower in self._followers):
            return
        tried = "; ".join(problem.reason for problem in self.problems() if problem.kind == kind)
        raise BundleError(f"no {kind} can be served: {tried or f'no {kind} is published'}")

    def start(self) -> "Watcher":
        """Poll now, then every `seconds` from a daemon thread."""
        self.poll()
        self._thread = threading.Thread(target=self._run, name="bundle-watcher", daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.poll()
            except Exception:  # whatever is told of a look must not end the watch
                log.exception("a look for new bundles failed; the present ones go on serving")

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
