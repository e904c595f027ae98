"""Hot swap: a thread that watches bundle pointers, loads a new version aside, and lets its owner swap one reference.

Traffic never waits for a load, and a bundle that fails to load leaves the old one serving.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from cluster.errors import PinfunnelError
from cluster.store.bundles import BundleStore

log = logging.getLogger(__name__)


class Watcher:
    """Calls `load(version)` of a kind whenever that kind's pointer names another version."""

    def __init__(self, store: BundleStore, loaders: Mapping[str, Callable[[str], None]], seconds: float = 1.0):
        self._store = store
        self._loaders = dict(loaders)
        self._seconds = seconds
        self._seen: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def poll(self) -> list[str]:
        """Look once; returns the kinds that were swapped. A failed version is not tried again until another appears."""
        swapped = []
        with self._lock:
            for kind, load in self._loaders.items():
                version = self._store.current(kind)
                if version is None or self._seen.get(kind) == version:
                    continue
                self._seen[kind] = version
                try:
                    load(version)
                except (PinfunnelError, OSError, ValueError, KeyError) as error:
                    self.failures[kind] = f"{version}: {error}"
                    log.error("kept the old %s: version %s does not load: %s", kind, version, error)
                else:
                    self.failures.pop(kind, None)
                    swapped.append(kind)
        return swapped

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
            except Exception:  # a storage outage must not end the watch
                log.exception("could not look for new bundles; the present ones go on serving")

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
